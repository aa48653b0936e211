"""Rules for people who log in: e-mail addresses, passwords, and whom a throttle counts."""

from __future__ import annotations

import ipaddress
import re
import unicodedata

from factory.errors import InvalidInput

LONGEST_EMAIL = 254
EMAIL = re.compile(r"[^\s@<>\"(),:;\\\[\]]+@[^\s@<>\"(),:;\\\[\]]+")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 1024
"""In characters. NIST SP 800-63B asks for 8 at least, advises 15, and wants 64 to be possible."""
IPV6_NETWORK_BITS = 64
"""One customer of a provider usually has all of such a network."""
GUESSES = """
000000000000 111111111111 112233445566 121212121212 123123123123 123321123321 123456123456
123456654321 1234567890123 12345678901234 123456789012 1234567891011 123456789123 123456789abc
1234567890qwe 1234qwerasdf 1q2w3e4r5t6y 1q2w3e4r5t6y7u 1qaz2wsx3edc 1qaz2wsx3edc4rfv 987654321012
aaaaaaaaaaaa abc123abc123 abcd12345678 abcdefghijkl adminadminadmin administrator administrator1
asdfasdfasdf asdfghjkl123 asdfghjkl;' azertyuiop123 changeme1234 changemenow! correcthorsebatterystaple
football1234 iloveyou1234 iloveyouforever letmein12345 letmeinplease liverpool123 loveyou12345
michaeljordan mypassword123 opensesame123 p@ssw0rd1234 p@ssword1234 passw0rd1234 password0000
password1111 password1234 password12345 password123456 password1234! passwordpassword princess1234
q1w2e3r4t5y6 qazwsxedc123 qazwsxedcrfv qwer1234qwer qwerasdfzxcv qwerty123456 qwertyqwerty
qwertyuiop12 qwertyuiop123 qwertyuiop[] qwertyuiopasdfghjkl sunshine1234 superman1234 trustno1trustno1
welcome12345 welcome2admin zaq12wsxcde3 zaqxswcdevfr zxcvbnm12345 zxcvbnmasdfghjkl
"""
"""The commonest passwords that are long enough."""
COMMON = frozenset(GUESSES.split())


def normal_email(text: str) -> str:
    """The form under which a user is known: without white space around it, in small letters. Raises InvalidInput."""
    email = unicodedata.normalize("NFKC", text).strip().lower()
    if len(email) > LONGEST_EMAIL or not EMAIL.fullmatch(email) or not email.isprintable():
        raise InvalidInput("email: write it as name@domain", param="email")
    return email


def normal_password(text: str) -> str:
    """The characters that are hashed: in NFKC, so that each keyboard gives the same ones (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", text)


def check_password(text: str, email: str, param: str = "password") -> str:
    """A new password in its normal form. Raises InvalidInput if it is too short, too long or easily guessed."""
    password = normal_password(text)
    if reason := _password_fault(password, email):
        raise InvalidInput(f"{param}: {reason}", param=param)
    return password


def _password_fault(password: str, email: str) -> str | None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return f"it must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
    plain = password.casefold().strip()
    if plain in (email, email.partition("@")[0]):
        return "it is the e-mail address"
    if plain in COMMON or len(set(plain)) == 1:
        return "it is one of the first that are guessed"
    return None


def network_of(address: str | None) -> str:
    """Whom a throttle counts as one client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, IPV6_NETWORK_BITS), strict=False))
    return str(found)
