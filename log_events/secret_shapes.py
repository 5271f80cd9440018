"""
What secrets look like inside a text: each rule is a pattern, and the words without which it need not be tried.

All patterns are linear in the text's length: bounded or possessive repetition only.
"""

import re
from typing import NamedTuple

REDACTED = "[redacted]"


class Rule(NamedTuple):
    """One shape of secrets."""

    needles: tuple[str, ...]
    """Lower-case words of which the lower-cased text has one wherever the pattern matches."""
    pattern: re.Pattern[str]
    replacement: str


def _rule(needles: str, pattern: str, replacement: str = REDACTED) -> Rule:
    return Rule(tuple(needles.split()), re.compile(pattern), replacement)


_LOGIN_WORDS = r"(?<!has_)(?<!is_)(?<!use_)(?:passwords?|passwd|passphrase|passwort|pwd)"
_KEY_WORDS = (
    r"secrets?|(?<!page)(?<!page[_-])token|credentials?|sessionid|phpsessid|jsessionid|csrf|xsrf"
    r"|(?:api|access|secret|private|account|signing|encryption|master|session)[_\- ]?keys?"
)
_IS = r"(?P<is>\\{0,4}[\"']?\s{0,4}(?:=>|:=|[:=])(?!=)\s{0,4})"
_QUOTED = (
    r"(?P<open>[bur]?\\{1,4}\")(?:(?!\\{1,4}\")[^\n]){1,65536}+"  # in JSON within JSON, where quotes are escaped
    r"|(?P<open2>[bur]?\")(?:[^\"\\]|\\.){1,65536}+"
    r"|(?P<open3>[bur]?')(?:[^'\\]|\\.){1,65536}+"
)
_IDLE = (
    r"(?!(?i:(?:\[redacted\]|<redacted>|\*+|none|null|nil|undefined|true|false|yes|no|ok|on|off|unset|set|empty|missing|"
    r"required|optional|invalid|incorrect|wrong|expired|changed|updated|reset|rejected|accepted|denied|verified|"
    r"too|must|is|was|are|not|the|an?|and|or|to|for|of|in|cannot|does|should|has|field|str|string|bytes|int|text)"
    r"(?![^\s,;.:)\]}\"'&])))"
)
_BARE = r"[^\s\"'&,;)\]}<>\\]"
_MIXED = r"(?=[^\s\"'&,;)\]}<>\\]{0,200}?[0-9])"

RULES = (
    _rule(
        "private",
        r"-----BEGIN (?P<kind>[A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?)-----"
        r"(?:(?!-----END)[\s\S])*+(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    # Credentials in a URL.  Digits after a colon are a port, unless an @ follows them at once.
    _rule(
        "://",
        r"(?P<front>\b(?i:(?:postgres(?:ql)?|mysql|mariadb|rediss?|valkeys?|amqps?|mongodb|mssql|oracle|cockroachdb|clickhouse)"
        r"(?:\+[a-z0-9]{1,16})?)://[^\s/:@?#\"'<>]{0,256}:)(?![0-9]{1,5}(?:[/?#,\s\"'<>]|$))"
        r"[^\s\"'<>@]{0,1024}+(?:@[^\s\"'<>@]{1,1024}+){0,8}?@(?=[^\s\"'<>@]{1,256}(?:[\s\"'<>]|$))",
        rf"\g<front>{REDACTED}@",
    ),
    _rule("://", r"(?P<front>://[^\s/:@?#\"'<>]{0,256}:)[^\s/?#\"'<>]{1,1024}@", rf"\g<front>{REDACTED}@"),
    _rule("://", r"://(?=[A-Za-z_\-]{0,200}[0-9])[A-Za-z0-9_\-]{20,256}@", f"://{REDACTED}@"),
    # Headers, as curl, HTTP libraries and tracebacks show them.
    _rule(
        "authorization",
        rf"(?P<front>(?i:authorization){_IS}[bur]?\\{{0,4}}[\"']?(?i:basic|bearer|token|negotiate|apikey|ntlm|dpop)\s{{1,4}})"
        r"[^\s\"'\\,;]{1,65536}",
        rf"\g<front>{REDACTED}",
    ),
    _rule(
        "authorization",
        rf"(?P<front>(?i:authorization){_IS}[bur]?\\{{0,4}}[\"']?(?i:digest|aws4-hmac-sha256|oauth|hawk|signature)\s{{1,4}})"
        r"[^\r\n']{1,65536}",
        rf"\g<front>{REDACTED}",
    ),
    _rule(
        "authorization",
        rf"(?P<front>(?i:authorization){_IS}[bur]?\\{{0,4}}[\"']?)(?=[^\s\"'\\,;]{{0,200}}?[0-9])[^\s\"'\\,;]{{8,65536}}",
        rf"\g<front>{REDACTED}",
    ),
    _rule(
        "bearer",
        r"(?P<front>\b(?i:bearer)\s{1,4})(?=[A-Za-z0-9._~+/=\-]{0,200}?[0-9])[A-Za-z0-9._~+/=\-]{12,65536}",
        rf"\g<front>{REDACTED}",
    ),
    _rule(
        "basic",
        r"(?P<front>\b(?i:basic)\s)(?=[A-Za-z0-9+/]{0,200}?(?:[0-9][A-Za-z0-9+/]{0,200}?[A-Z]|[A-Z][A-Za-z0-9+/]{0,200}?[0-9]|==))"
        r"[A-Za-z0-9+/]{10,4096}={0,2}",
        rf"\g<front>{REDACTED}",
    ),
    _rule(
        "cookie",
        rf"(?P<front>(?<![A-Za-z0-9])(?i:(?:set[_-]?)?cookie2?){_IS}[bur]?\\{{0,4}}[\"']?)"
        r"(?=[A-Za-z0-9_.\-]{1,128}=)[^\r\n\"'\\]{1,65536}",
        rf"\g<front>{REDACTED}",
    ),
    _rule(
        "eyj", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_\-]{8,65536}+\.[A-Za-z0-9_\-]{4,1048576}+(?:\.[A-Za-z0-9_\-]*+){0,3}"
    ),
    _rule(
        "--",
        rf"(?P<name>--(?:[a-z0-9]{{1,32}}-){{0,4}}(?i:{_LOGIN_WORDS}|token|secret|api-?key|access-?key|secret-?key)\s{{1,4}})"
        rf"(?!-)[bur]?[\"']?{_IDLE}(?:{_MIXED}{_BARE}{{4,4096}}|{_BARE}{{12,4096}})",
        rf"\g<name>{REDACTED}",
    ),
    # Signed addresses.
    _rule(
        "sig token credential",
        r"(?P<front>[?&;](?i:x-(?:amz|goog)-(?:signature|security-token|credential)|sig|signature)=)[^&\s\"'<>]{12,8192}",
        rf"\g<front>{REDACTED}",
    ),
    _rule(
        "hooks.slack.com",
        r"(?P<front>hooks\.slack\.com/(?:services|workflows)/)[\w/\-]{8,512}",
        rf"\g<front>{REDACTED}",
    ),
)

NAMES = re.compile(
    rf"(?:passwords?|passwd|passphrase|passwort|pwd|pass|cookie|{_KEY_WORDS})\\{{0,4}}[\"']?\s{{0,4}}[:=]"
)
"""Where in a lower-cased text the name of a secret is tied to a value: fast, because it is case-sensitive."""

NAMED = (
    (
        re.compile(rf"(?P<name>(?i:{_LOGIN_WORDS}|{_KEY_WORDS})){_IS}(?:{_QUOTED})"),
        rf"\g<name>\g<is>\g<open>\g<open2>\g<open3>{REDACTED}",
    ),
    (re.compile(rf"(?P<name>(?i:{_LOGIN_WORDS})){_IS}{_IDLE}{_BARE}{{1,4096}}"), rf"\g<name>\g<is>{REDACTED}"),
    (
        re.compile(rf"(?P<name>(?<![A-Za-z])(?i:pass)=)(?!=){_IDLE}(?![0-9.]{{1,16}}(?:[^\w]|$)){_BARE}{{1,4096}}"),
        rf"\g<name>{REDACTED}",
    ),
    (
        re.compile(rf"(?P<name>(?i:{_KEY_WORDS}))(?P<is>=(?!=)){_IDLE}(?![0-9]{{1,6}}(?:[^\w]|$)){_BARE}{{3,65536}}"),
        rf"\g<name>\g<is>{REDACTED}",
    ),
    (
        re.compile(rf"(?P<name>(?i:{_KEY_WORDS}|cookie)){_IS}{_IDLE}{_MIXED}{_BARE}{{8,65536}}"),
        rf"\g<name>\g<is>{REDACTED}",
    ),
)
"""Names and their values, quoted and bare, with what replaces them; each is tried where `NAMES` found one."""

_KEYS = {
    "sk-": r"sk-(?:(?:ant|proj|or|svcacct|admin|live|test)-[A-Za-z0-9_\-]{16,512}|[A-Za-z0-9]{20,512})",
    "sk_": r"sk_(?:live|test)_[A-Za-z0-9]{12,512}",
    "rk_": r"rk_(?:live|test)_[A-Za-z0-9]{12,512}",
    "whsec_": r"whsec_[A-Za-z0-9+/]{16,512}",
    "gh": r"gh[pousr]_[A-Za-z0-9]{30,512}",
    "github_pat_": r"github_pat_[A-Za-z0-9_]{22,512}",
    "gl": r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt)-[A-Za-z0-9_\-]{16,512}",
    "xox": r"xox[abceoprs]-(?=[A-Za-z\-]{0,64}[0-9])[A-Za-z0-9\-]{12,512}",
    "xapp-": r"xapp-[0-9]-[A-Za-z0-9\-]{12,512}",
    "AKIA": r"AKIA[0-9A-Z]{16}(?![0-9A-Za-z])",
    "ASIA": r"ASIA[0-9A-Z]{16}(?![0-9A-Za-z])",
    "AIza": r"AIza[A-Za-z0-9_\-]{35}",
    "ya29.": r"ya29\.[A-Za-z0-9_\-]{20,2048}",
    "GOCSPX-": r"GOCSPX-[A-Za-z0-9_\-]{20,64}",
    "SG.": r"SG\.[A-Za-z0-9_\-]{16,64}\.[A-Za-z0-9_\-]{16,128}",
    "hf_": r"hf_[A-Za-z0-9]{30,64}",
    "npm_": r"npm_[A-Za-z0-9]{36}",
    "pypi-": r"pypi-[A-Za-z0-9_\-]{50,1024}",
    "do": r"do[opr]_v1_[a-f0-9]{40,64}",
    "dapi": r"dapi[a-f0-9]{32}(?![0-9A-Za-z])",
    "shp": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "gsk_": r"gsk_[A-Za-z0-9]{32,128}",
    "xai-": r"xai-[A-Za-z0-9]{32,128}",
    "pplx-": r"pplx-[A-Za-z0-9]{32,128}",
    "r8_": r"r8_[A-Za-z0-9]{32,64}",
    "hvs.": r"hvs\.[A-Za-z0-9_\-]{20,256}",
    "SK": r"SK[0-9a-f]{32}(?![0-9A-Za-z])",
    "key-": r"key-[0-9a-f]{32}(?![0-9A-Za-z])",
    "lin_api_": r"lin_api_[A-Za-z0-9]{32,64}",
    "glsa_": r"glsa_[A-Za-z0-9_]{32,64}",
    "NRAK-": r"NRAK-[A-Z0-9]{27}",
    "PMAK-": r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    "sbp_": r"sbp_[a-f0-9]{40}",
    "AA": r"(?<=[0-9]:)AA[A-Za-z0-9_\-]{33}",
    "eyJ": "",
}
"""By the beginning of the key; the last is a JWT's, which has a rule of its own."""

KEY_BEGINNINGS = tuple(beginning.encode() for beginning in _KEYS if not beginning.endswith("."))
DOTTED_BEGINNINGS = tuple(beginning.encode() for beginning in _KEYS if beginning.endswith("."))
KEYS = re.compile(rf"(?<![A-Za-z0-9_\-])(?:{'|'.join(pattern for pattern in _KEYS.values() if pattern)})")
"""API keys of well-known providers, recognised by their own shape wherever they stand."""
