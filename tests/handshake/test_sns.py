"""Only a URL that cannot lead anywhere but to AWS SNS may be opened."""

import pytest

from webhookctl.handshake import is_sns_url

ACTION = "Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:t&Token=a"


@pytest.mark.parametrize(
    "host", ["us-east-1.amazonaws.com", "us-gov-west-1.amazonaws.com", "cn-north-1.amazonaws.com.cn"]
)
def test_a_regional_host_of_sns_is_one(host: str) -> None:
    assert is_sns_url(f"https://sns.{host}/?{ACTION}")
    assert is_sns_url(f"https://sns.{host}:443/?{ACTION}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://sns.us-east-1.amazonaws.com/?{ACTION}",
        f"https://sns.us-east-1.amazonaws.com.example.com/?{ACTION}",
        f"https://example.com/?sns.us-east-1.amazonaws.com&{ACTION}",
        f"https://sns.us-east-1.amazonaws.com@example.com/?{ACTION}",
        f"https://user@sns.us-east-1.amazonaws.com/?{ACTION}",
        f"https://sns.us-east-1.amazonaws.com:8443/?{ACTION}",
        f"https://sns.us-east-1.amazonaws.org/?{ACTION}",
        f"https://sqs.us-east-1.amazonaws.com/?{ACTION}",
        f"https://sns.amazonaws.com/?{ACTION}",
        f"https://bucket.s3.amazonaws.com/sns.us-east-1?{ACTION}",
        f"https://sns.us-east-1.amazonaws.com/other?{ACTION}",
        f"https://sns.us-east-1.amazonaws.com/?{ACTION}\r\nHost: example.com",
        f"https://sns.us-east-1.amazonaws.com/?{ACTION} b",
        f"https://sns.us-east-1.amazonaws.com/?{ACTION}é",
        f"https://sns.us-east-1.amazonaws.com\n/?{ACTION}",
        "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&Token=a",
        "https://sns.us-east-1.amazonaws.com/",
        f"https://sns.us-east-1.amazonaws.com/?{ACTION}{'a' * 3_000}",
        f"https://127.0.0.1/?{ACTION}",
        f"file:///sns.us-east-1.amazonaws.com/?{ACTION}",
    ],
)
def test_anything_else_is_none(url: str) -> None:
    assert not is_sns_url(url)
