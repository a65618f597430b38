from __future__ import annotations

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineagelog.domain.redaction import (
    _SHAPES,
    MARK,
    is_secret_name,
    redact_command,
    redact_json,
    redact_text,
    redact_url,
)

# Made up, and put together here so that no scanner takes them for real ones.
LETTERS = string.ascii_letters * 2
MIXED = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4hJ6kL8n" * 2
UPPER = "ABCDEFGHIJKLMNOP"
HEX = "0123456789abcdef" * 4

SHAPES: dict[str, tuple[str, str]] = {
    "AWS access key": ("{}", "AKIA" + UPPER),
    "AWS temporary key": ("{}", "ASIA" + UPPER),
    "AWS secret key": ("aws_secret_access_key = {}", MIXED[:40]),
    "AWS secret key in quotes": ('AWS_SECRET_KEY="{}"', MIXED[:40]),
    "Google key": ("{}", "AIza" + MIXED[:35]),
    "Google OAuth token": ("{}", "ya29." + MIXED[:30]),
    "GitHub token": ("{}", "ghp_" + MIXED[:36]),
    "GitHub OAuth token": ("{}", "gho_" + MIXED[:36]),
    "GitHub user token": ("{}", "ghu_" + MIXED[:36]),
    "GitHub server token": ("{}", "ghs_" + MIXED[:36]),
    "GitHub refresh token": ("{}", "ghr_" + MIXED[:36]),
    "GitHub fine-grained token": ("{}", "github_pat_" + MIXED[:40]),
    "GitLab token": ("{}", "glpat-" + MIXED[:20]),
    "Slack bot token": ("{}", "xoxb-" + "123456789012-" + MIXED[:24]),
    "Slack user token": ("{}", "xoxp-" + "123456789012-" + MIXED[:24]),
    "Stripe live key": ("{}", "sk_" + "live_" + MIXED[:24]),
    "Stripe restricted key": ("{}", "rk_" + "live_" + MIXED[:24]),
    "OpenAI key": ("{}", "sk-" + MIXED[:48]),
    "OpenAI project key": ("{}", "sk-" + "proj-" + MIXED[:40]),
    "Anthropic key": ("{}", "sk-" + "ant-" + MIXED[:40]),
    "Hugging Face token": ("{}", "hf_" + MIXED[:34]),
    "PyPI token": ("{}", "pypi-" + MIXED[:60]),
    "npm token": ("{}", "npm_" + MIXED[:36]),
    "DigitalOcean token": ("{}", "dop_v1_" + HEX),
    "SendGrid key": ("{}", "SG." + MIXED[:22] + "." + MIXED[:43]),
    "JSON web token": ("{}", "eyJ" + MIXED[:20] + "." + "eyJ" + MIXED[:30] + "." + MIXED[:43]),
    "bearer token": ("Authorization: Bearer {}", MIXED[:30]),
    "basic authorization": ("authorization: basic {}", MIXED[:30] + "=="),
    "password in a URL": ("postgresql://mara:{}@db.example.org/x", "hunter2"),
    "password alone in a URL": ("redis://:{}@cache.example.org", "hunter2"),
    "password with an at sign in a URL": ("postgresql://mara:{}@db.example.org/x", "hunt@er2"),
    "token as user in a URL": ("https://{}@git.example.org/r.git", MIXED[:40]),
    "signature of a signed URL": ("https://b.example.org/k?X-Amz-Signature={}&x=1", HEX),
    "credential of a signed URL": ("https://b.example.org/k?a=1&X-Amz-Credential={}", MIXED[:30]),
    "shared access signature": ("https://a.example.net/c?sv=2024&sig={}", MIXED[:30]),
    "token in a query": ("https://a.example.org/x?access_token={}#top", MIXED[:12]),
    "key in a query": ("https://a.example.org/x?api_key={}", MIXED[:12]),
    "password in source code": ("password = '{}'", "hunter2"),
    "password in a mapping": ('{{"password": "{}"}}', "hunter2"),
    "API key in source code": ('api_key="{}"', "tiger-and-lion"),
    "client secret in source code": ("client_secret: '{}'", "tiger-and-lion"),
    "prefixed password in source code": ("db_password = '{}'", "hunter2"),
    "prefixed token in the environment": ("GITLAB_TOKEN={}", "tiger-and-lion"),
    "option of a command": ("tool --password {} --fast", "hunter2"),
    "option of a command with equals": ("tool --api-key={} --fast", "tiger-and-lion"),
    "assignment in the environment": ("PASSWORD={} tool", "hunter2"),
    "netrc line": ("machine git.example.org login mara password {}", "hunter2"),
    "private key": ("{}", "-----BEGIN RSA PRIVATE KEY-----\n" + MIXED + "\n-----END RSA PRIVATE KEY-----"),
    "private key cut off": ("{}", "-----BEGIN OPENSSH PRIVATE KEY-----\n" + MIXED),
}


@pytest.mark.parametrize(("frame", "secret"), SHAPES.values(), ids=SHAPES)
def test_secrets_are_taken_out_and_what_stands_around_them_stays(frame: str, secret: str) -> None:
    for before, after in (("", ""), ("see ", "\nnext line")):
        text, found = redact_text(before + frame.format(secret) + after)
        assert found
        assert secret not in text
        assert MARK in text
        assert text.startswith(before)
        assert text.endswith(after) or "cut off" in frame or secret.startswith("-----BEGIN OPENSSH")


@pytest.mark.parametrize(("frame", "secret"), SHAPES.values(), ids=SHAPES)
def test_redacting_again_changes_nothing(frame: str, secret: str) -> None:
    once, _ = redact_text(frame.format(secret))
    assert redact_text(once)[0] == once


ORDINARY = [
    "",
    "The password policy is described in chapter 3.",
    "tokens per second: 1200",
    "tokenizer = AutoTokenizer.from_pretrained('bert-base-uncased')",
    "for token in tokens:\n    count[token] += 1",
    "key=value&other=1",
    "sorted(items, key=lambda item: item[0])",
    "https://example.org/a/b?page=2&sort=key",
    "https://example.org:8443/a@b",
    "s3://bucket/folder/file.parquet",
    "mail mara@example.org",
    "git@github.com:org/repo.git",
    "0193a1b2-c3d4-7000-8000-000000000001",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "b" * 40,
    "skip-connections and sk-learn",
    "task-specific results",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "SELECT secret_santa FROM parties",
    "Zr3vFq0bQx7LmN2k0001",
    "learning_rate=0.001 n_tokens=512",
    "author: mara, title: 'The secret garden'",
    "import secrets\nsecrets.token_hex(8)",
    "basic statistics of the data",
    "bearer of good news",
]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_all_that_a_pattern_matches_holds_one_of_its_signs(data: st.DataObject) -> None:
    """Patterns are tried only on texts that hold one."""
    signs, shape = data.draw(st.sampled_from(_SHAPES))
    secret = data.draw(st.from_regex(shape))
    assert any(sign in secret.casefold() for sign in signs), (shape.pattern, secret)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact_text(text) == (text, False)


@pytest.mark.parametrize(
    "name",
    ["password", "PASSWORD", "db_password", "dbPassword", "passwd", "pwd", "passphrase", "secret", "client-secret", "api_key",
     "apiKey", "API-KEY", "apikey", "access_key", "accessKeyId", "private_key", "privateKey", "token", "auth_token", "authToken",
     "github.token", "credentials", "authorization", "Authorization", "bearer", "cookie", "session_key", "dsn", "sas"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "key", "keys", "author", "authors", "passenger", "bypass", "tokenizer", "n_tokenized", "secretary", "monkey", "compass",
     "keyboard", "learning_rate", "sassy", "cookiecutter"],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_inside_values_are_replaced_and_their_places_named() -> None:
    value = {
        "lr": 0.1,
        "password": "hunter2",
        "nested": {"apiKey": ["a", "b"], "urls": ["https://example.org", "redis://:hunter2@cache"]},
        "empty": {"token": "", "secret": None, "cookie": True, "auth": False},
    }
    plain, places = redact_json(value)
    assert plain == {
        "lr": 0.1,
        "password": MARK,
        "nested": {"apiKey": MARK, "urls": ["https://example.org", f"redis://{MARK}@cache"]},
        "empty": {"token": "", "secret": None, "cookie": True, "auth": False},
    }
    assert places == ["password", "nested.apiKey", "nested.urls[1]"]
    assert value["password"] == "hunter2", "the caller's value is not touched"


def test_values_without_secrets_are_returned_equal() -> None:
    value = {"a": [1, None, True, {"b": "text"}], "c": 0.5}
    assert redact_json(value) == (value, [])
    assert redact_json("text", "params") == ("text", [])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tool", "--password", "hunter2", "file"], ["tool", "--password", MARK, "file"]),
        (["tool", "--api-key=hunter2", "file"], ["tool", f"--api-key={MARK}", "file"]),
        (["tool", "--token", "--fast"], ["tool", "--token", "--fast"]),
        (["tool", "--token", "-hunter2"], ["tool", "--token", MARK]),
        (["tool", "--token", "-v"], ["tool", "--token", "-v"]),
        (["tool", "--token"], ["tool", "--token"]),
        (["tool", "--token="], ["tool", "--token="]),
        (["tool", "--db", "postgresql://mara:hunter2@db/x"], ["tool", "--db", f"postgresql://{MARK}@db/x"]),
        (["PASSWORD=hunter2"], [f"PASSWORD={MARK}"]),
        (["python", "train.py", "--lr", "0.1"], ["python", "train.py", "--lr", "0.1"]),
        ([], []),
    ],
)
def test_command_lines(arguments: list[str], expected: list[str]) -> None:
    assert redact_command(arguments) == expected


def test_a_password_with_an_at_sign_is_taken_out_of_a_text_as_a_whole() -> None:
    text, found = redact_text("cannot reach postgresql://mara:hun@ter2@db/x, ask ops@example.org")
    assert (text, found) == (f"cannot reach postgresql://{MARK}@db/x, ask ops@example.org", True)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://mara:hunter2@db.example.org:5432/x", "postgresql://db.example.org:5432/x"),
        ("postgresql://mara@db/x", "postgresql://db/x"),
        ("postgresql://mara:hun@ter2@db/x", "postgresql://db/x"),
        ("postgresql://mara:hun/ter2@db/x", "postgresql://db/x"),
        ("postgresql://mara:hun?ter2@db/x", "postgresql://db/x"),
        ("postgresql://mara:hun#ter2@db/x", "postgresql://db/x"),
        ("postgresql:///x?host=/run&password=hunter2", f"postgresql:///x?host=/run&password={MARK}"),
        ("https://mara:hunter2@git.example.org/r.git", "https://git.example.org/r.git"),
        ("https://git.example.org/a@b", "https://git.example.org/a@b"),
        ("https://git.example.org:8443/a@b", "https://git.example.org:8443/a@b"),
        ("https://[::1]:8443/a@b", "https://[::1]:8443/a@b"),
        ("git@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("/a/local/path@2", "/a/local/path@2"),
    ],
)
def test_urls_lose_user_and_password(url: str, expected: str) -> None:
    assert redact_url(url) == expected


@pytest.mark.parametrize(
    "part",
    ["a", "a.", "a_", "aws", "aws key ", "password ", "password='", "://", "x://a:", "eyJ", "Bearer ", "machine a login ",
     "-----BEGIN PRIVATE KEY-----", " --a", "sk-", "?key", "SG."],
)  # fmt: skip
def test_long_texts_take_time_in_proportion_to_their_length(part: str) -> None:
    """Text comes from users: a pattern that backtracks would hang a run on one long line."""
    text = part * (100_000 // len(part))
    started = time.process_time()
    redact_text(text)
    redact_text(part + "a" * 100_000)
    assert time.process_time() - started < 2.0
