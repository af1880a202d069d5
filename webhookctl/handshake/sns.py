"""The one rule for the URL that AWS SNS asks to be opened. Must not open anything."""

import re

_URL = re.compile(
    r"https://sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]+\.amazonaws\.com(?:\.cn)?(?::443)?"
    r"/\?[\x21-\x7e]*\Z"
)
MAX_LENGTH = 2_048


def is_sns_url(url: str) -> bool:
    """True for an https URL of a regional SNS host whose query confirms a subscription, and for nothing else."""
    if len(url) > MAX_LENGTH or not _URL.match(url):
        return False
    return "Action=ConfirmSubscription" in url.partition("?")[2].split("&")
