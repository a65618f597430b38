"""Secrets never enter an event: what looks like one is replaced before the event is built.

Two signs are used: the name of a field (`password`, `api_key`, …) and the shape of a value (keys of known services, tokens, private
keys, credentials inside URLs). What is replaced is said in the event, so that nobody takes the mark for the value.
"""

from __future__ import annotations

import re
from typing import Final

from lineagelog.domain.values import Json

MARK: Final = "[redacted]"

_SECRET_NAME: Final = re.compile(
    r"(?:^|[_\-.\s])(?:pass(?:word|wd|phrase)?|pwd|secrets?|tokens?|api[_\-]?keys?|access[_\-]?keys?|private[_\-]?keys?|"
    r"credentials?|auth(?:orization)?|bearer|cookies?|session[_\-]?keys?|client[_\-]?secrets?|sas|dsn)(?:$|[_\-.\s])",
    re.IGNORECASE,
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

# Named groups: `keep` and `end` are left standing around the secret. Before each pattern stand texts of which one, whatever
# its case, is in all that the pattern matches: to look for them costs a hundredth of the pattern, and most texts hold none. No `i`
# stands in those of patterns that ignore case: for `re` that is also a dotless one, which has no other case.
_SHAPES: Final = tuple(
    (signs, re.compile(pattern, flags))
    for signs, pattern, flags in (
        (
            ("private key",),
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        (
            ("akia", "asia", "agpa", "aida", "aroa", "anpa"),
            r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}\b",
            0,
        ),
        (
            ("aws",),
            r"(?P<keep>aws.{0,20}?(?:secret|key).{0,20}?[=:]\s*['\"]?)[A-Za-z0-9/+=]{40}\b",
            re.IGNORECASE,
        ),
        (("aiza",), r"\bAIza[A-Za-z0-9_\-]{35}", 0),
        (("ya29.",), r"\bya29\.[A-Za-z0-9_\-]{20,}", 0),
        (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{20,}", 0),
        (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{20,}", 0),
        (("glpat-",), r"\bglpat-[A-Za-z0-9_\-]{16,}", 0),
        (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9\-]{10,}", 0),
        (
            ("sk-", "sk_", "rk-", "rk_", "pk-", "pk_"),
            r"\b(?:sk|rk|pk)[-_](?:live|test|proj|ant)[-_][A-Za-z0-9_\-]{10,}",
            0,
        ),
        (("sk-",), r"\bsk-[A-Za-z0-9]{20,}", 0),
        (("hf_",), r"\bhf_[A-Za-z0-9]{20,}", 0),
        (("pypi-",), r"\bpypi-[A-Za-z0-9_\-]{20,}", 0),
        (("npm_",), r"\bnpm_[A-Za-z0-9]{20,}", 0),
        (("dop_v1_",), r"\bdop_v1_[a-f0-9]{32,}", 0),
        (("sg.",), r"\bSG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}", 0),
        (("eyj",), r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*", 0),
        (("bearer", "bas"), r"(?P<keep>\b(?:Bearer|Basic)\s+)[A-Za-z0-9+/=_\-.~]{12,}", re.IGNORECASE),
        (
            ("://",),
            r"(?P<keep>\b[A-Za-z][A-Za-z0-9+.\-]{0,30}://)[^\s/@:'\"]{0,256}:[^\s/'\"]{0,1024}(?P<end>@)",
            0,
        ),
        (("://",), r"(?P<keep>https?://)[A-Za-z0-9_\-]{20,}(?P<end>@)", 0),
        (
            ("?", "&"),
            (
                r"(?P<keep>[?&](?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|sig|AWSAccessKeyId|token|"
                r"access_token|api_key|apikey|key|password|secret)=)[^&\s'\"#]+"
            ),
            re.IGNORECASE,
        ),
        (
            ("pass", "pwd", "secret", "token", "key"),
            (
                r"(?P<keep>(?:\b|_)(?:password|passwd|pwd|passphrase|secret|token|api[_\-]?key|access[_\-]?key|client[_\-]?secret)"
                r"['\"]?\s*(?:=|:)\s*['\"])[^'\"\n]{4,}(?P<end>['\"])"
            ),
            re.IGNORECASE,
        ),
        (
            ("pass", "pwd", "secret", "token", "key"),
            (
                r"(?P<keep>(?:^|\s)(?:--?(?:password|passwd|pwd|token|secret|api[_\-]?key|access[_\-]?key) |"
                r"(?:--?)?(?:\w+[_\-])?(?:password|passwd|pwd|token|secret|api[_\-]?key|access[_\-]?key)=))[^\s'\"]{4,}"
            ),
            re.IGNORECASE,
        ),
        (("mach",), r"(?P<keep>\bmachine\s+\S+\s+login\s+\S+\s+password\s+)\S+", re.IGNORECASE),
    )
)


_SIGNING_NAME: Final = re.compile(
    r"X-(?:Amz|Goog|Oss|Cos)-.*|Signature|sig|AWSAccessKeyId|GoogleAccessId|OSSAccessKeyId|Key-Pair-Id|Policy|hmac|jwt",
    re.IGNORECASE,
)

# A password may hold `@` or, badly written, `/`; what follows the last `@` is the host. A number after the colon is a port.
_USER_INFO: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*://)(?:[^/]*@|[^/@:\[]*:(?!\d*(?:[/?#]|$))[^?#]*@)")


def redact_text(text: str) -> tuple[str, bool]:
    """Replace everything in a text that has the shape of a secret.

    Returns:
        The text, and whether anything was replaced.
    """
    found = False
    folded = text.casefold()
    for signs, shape in _SHAPES:
        # A mark put in the place of one secret adds no sign of another.
        if any(map(folded.__contains__, signs)):
            text, count = shape.subn(_mark, text)
            found = found or count > 0
    return text, found


def redact_json(value: Json, path: str = "") -> tuple[Json, list[str]]:
    """Replace secrets anywhere inside a value.

    Args:
        value: Value of JSON's data model.
        path: Name of the value, for the list of places.

    Returns:
        The value with `MARK` in the place of each secret, and the paths of these places.
    """
    if isinstance(value, str):
        text, found = redact_text(value)
        return text, [path] if found else []
    if isinstance(value, list):
        places: list[str] = []
        items: list[Json] = []
        for index, item in enumerate(value):
            plain, inner = redact_json(item, f"{path}[{index}]")
            items.append(plain)
            places += inner
        return items, places
    if isinstance(value, dict):
        places = []
        fields: dict[str, Json] = {}
        for key, item in value.items():
            name = f"{path}.{key}" if path else key
            if is_secret_name(key) and item not in (None, "", True, False):
                fields[key], inner = MARK, [name]
            else:
                fields[key], inner = redact_json(item, name)
            places += inner
        return fields, places
    return value, []


def redact_command(arguments: list[str]) -> list[str]:
    """Replace secrets in a command line, the value that follows a telling option included."""
    redacted = []
    hide_next = False
    for argument in arguments:
        # A single dash may begin a secret; one letter after it, or a second dash, is the next option.
        if hide_next and (not argument.startswith("-") or (len(argument) > 2 and not argument.startswith("--"))):
            redacted.append(MARK)
            hide_next = False
            continue
        option, equals, value = argument.partition("=")
        secret = option.startswith("-") and is_secret_name(option.lstrip("-"))
        if secret and equals and value:
            redacted.append(f"{option}={MARK}")
        else:
            redacted.append(redact_text(argument)[0])
        hide_next = secret and not equals
    return redacted


def redact_url(url: str) -> str:
    """Take the user name, password and signing parameters out of a URL."""
    return redact_text(_USER_INFO.sub(r"\1", url))[0]


def is_signing_parameter(name: str) -> bool:
    """Tell whether a parameter of this name in a URL's query signs the request, or is taken to hold a secret."""
    # Azure signs with `sig`; what stands beside it means little without it.
    return bool(_SIGNING_NAME.fullmatch(name)) or is_secret_name(name) or redact_text(f"?{name}=0123456789")[1]


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name is taken to hold a secret."""
    return bool(_SECRET_NAME.search(_CAMEL.sub("_", name)))


def _mark(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return f"{groups.get('keep') or ''}{MARK}{groups.get('end') or ''}"
