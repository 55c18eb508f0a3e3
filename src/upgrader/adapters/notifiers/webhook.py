"""Messages by HTTP: our JSON to a gateway of the site, or the text that the robots of chat programs read.

The robots of WeCom and DingTalk take `{"msgtype": "text", "text": {"content": …}}`, and say `errcode` 0 when they took
it, with status 200 in any case (developer.work.weixin.qq.com/document/path/91770, open.dingtalk.com "custom robots").
"""

import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from upgrader.adapters.notifiers.message import Message
from upgrader.domain.changes.notification import NotifierTerms
from upgrader.domain.errors import PreflightFailed

LARGEST_ANSWER = 64 * 1024
PLACE = "{secret}"  # where it stands in the URL, the secret goes there; else it is sent as a bearer token
CONNECTIONS: Mapping[str, type[http.client.HTTPConnection]] = {
    "http": http.client.HTTPConnection,
    "https": http.client.HTTPSConnection,
}


def call_webhook(terms: NotifierTerms, message: Message, secret: str) -> None:
    """POST the message; delivered with a status of 2xx. Raises PreflightFailed `notification-not-delivered`."""
    _post(terms, message.body, secret)


def call_robot(terms: NotifierTerms, message: Message, secret: str) -> None:
    """POST its words; delivered when the robot says so. Raises PreflightFailed `notification-not-delivered`."""
    content = "\n".join([*message.words.values(), *terms.to])
    answer = _post(terms, json.dumps({"msgtype": "text", "text": {"content": content}}).encode(), secret)
    try:
        taken = json.loads(answer)
    except ValueError:
        taken = None
    if not isinstance(taken, dict) or taken.get("errcode") != 0:
        raise _failed(terms, answer[:120].decode("utf-8", errors="replace"))


def _post(terms: NotifierTerms, body: bytes, secret: str) -> bytes:
    """No proxy of the environment, no redirect followed."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if secret and PLACE not in terms.url:
        headers["Authorization"] = f"Bearer {secret}"
    url = urlsplit(terms.url.replace(PLACE, quote(secret, safe="")))
    connection = CONNECTIONS[url.scheme](url.hostname or "", url.port, timeout=terms.timeout)
    try:
        connection.request("POST", (url.path or "/") + (f"?{url.query}" if url.query else ""), body, headers)
        answer = connection.getresponse()
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise _failed(terms, f"HTTP {answer.status} {answer.reason}")
        return answer.read(LARGEST_ANSWER)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(terms, str(error) or type(error).__name__) from error
    finally:
        connection.close()


def _failed(terms: NotifierTerms, reason: str) -> PreflightFailed:
    return PreflightFailed("notification-not-delivered", notifier=terms.name, reason=reason[:200])
