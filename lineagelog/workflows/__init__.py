"""Runs that other programs carried out or recorded: of workflow managers and of tracking stores."""
