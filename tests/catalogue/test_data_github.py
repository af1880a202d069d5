"""GitHub's events against a table of field names and types, and the state each event stands for."""

import json
import re
import uuid
from typing import Any

import pytest
from gidgethub import sansio

from webhookctl.catalogue import build, names, resolve

NOW_S = 1_790_000_000
EVENTS = [name.partition("/")[2] for name in names("github")]

# Field names and types that GitHub requires, from its description of its webhooks.
TOP_LEVEL = {
    "push": """
        after:string base_ref:string|null before:string commits:array compare:string created:boolean
        deleted:boolean forced:boolean head_commit:object|null pusher:object ref:string
        repository:object sender:object
    """,
    "ping": """
        hook:object hook_id:integer repository:object sender:object zen:string
    """,
    "create": """
        description:string|null master_branch:string pusher_type:string ref:string ref_type:string
        repository:object sender:object
    """,
    "delete": """
        pusher_type:string ref:string ref_type:string repository:object sender:object
    """,
    "pull_request.opened": """
        action:string number:integer pull_request:object repository:object sender:object
    """,
    "pull_request.closed": """
        action:string number:integer pull_request:object repository:object sender:object
    """,
    "pull_request.synchronize": """
        action:string after:string before:string number:integer pull_request:object repository:object
        sender:object
    """,
    "pull_request_review.submitted": """
        action:string pull_request:object repository:object review:object sender:object
    """,
    "issues.opened": """
        action:string issue:object repository:object sender:object
    """,
    "issues.closed": """
        action:string issue:object repository:object sender:object
    """,
    "issue_comment.created": """
        action:string comment:object issue:object repository:object sender:object
    """,
    "release.published": """
        action:string release:object repository:object sender:object
    """,
    "workflow_run.completed": """
        action:string repository:object sender:object workflow:object|null workflow_run:object
    """,
    "check_run.completed": """
        action:string check_run:object repository:object sender:object
    """,
    "star.created": """
        action:string repository:object sender:object starred_at:string|null
    """,
}
OBJECTS = {
    "head_commit": """
        author:object committer:object distinct:boolean id:string message:string timestamp:string
        tree_id:string url:string
    """,
    "pusher": """
        name:string
    """,
    "repository": """
        archived:boolean created_at:integer|string|null default_branch:string description:string|null
        fork:boolean forks:integer forks_count:integer full_name:string has_downloads:boolean
        has_issues:boolean has_pages:boolean has_projects:boolean has_wiki:boolean
        has_discussions:boolean homepage:string|null id:integer language:string|null license:object|null
        name:string node_id:string open_issues:integer open_issues_count:integer owner:object|null
        private:boolean pushed_at:integer|string|null size:integer stargazers_count:integer topics:array
        updated_at:string|null visibility:string watchers:integer watchers_count:integer
        disabled:boolean
    """,
    "sender": """
        login:string id:integer node_id:string avatar_url:string gravatar_id:string|null url:string
        html_url:string followers_url:string following_url:string gists_url:string starred_url:string
        subscriptions_url:string organizations_url:string repos_url:string events_url:string
        received_events_url:string type:string site_admin:boolean
    """,
    "hook": """
        active:boolean config:object created_at:string events:array id:integer name:string type:string
        updated_at:string
    """,
    "pull_request": """
        id:integer node_id:string number:integer state:string locked:boolean title:string
        user:object|null body:string|null labels:array milestone:object|null created_at:string
        updated_at:string closed_at:string|null merged_at:string|null merge_commit_sha:string|null
        assignee:object|null head:object base:object _links:object author_association:string
        auto_merge:object|null merged:boolean mergeable:boolean|null mergeable_state:string
        merged_by:object|null comments:integer review_comments:integer maintainer_can_modify:boolean
        commits:integer additions:integer deletions:integer changed_files:integer
        active_lock_reason:string|null assignees:array draft:boolean requested_reviewers:array
        requested_teams:array comments_url:string commits_url:string diff_url:string html_url:string
        issue_url:string patch_url:string review_comment_url:string review_comments_url:string
        statuses_url:string url:string
    """,
    "review": """
        _links:object author_association:string body:string|null commit_id:string html_url:string
        id:integer node_id:string pull_request_url:string state:string submitted_at:string|null
        user:object|null
    """,
    "issue": """
        active_lock_reason:string|null assignees:array author_association:string body:string|null
        closed_at:string|null comments:integer comments_url:string created_at:string events_url:string
        html_url:string id:integer labels_url:string milestone:object|null node_id:string number:integer
        reactions:object repository_url:string title:string updated_at:string url:string
        user:object|null state:string assignee:object|null labels:array locked:boolean
    """,
    "comment": """
        author_association:string body:string created_at:string html_url:string id:integer
        issue_url:string node_id:string performed_via_github_app:object|null reactions:object
        updated_at:string url:string user:object|null
    """,
    "release": """
        assets:array assets_url:string author:object|null body:string|null created_at:string|null
        draft:boolean html_url:string id:integer immutable:boolean name:string|null node_id:string
        prerelease:boolean published_at:string|null tag_name:string tarball_url:string|null
        target_commitish:string updated_at:string|null upload_url:string url:string
        zipball_url:string|null
    """,
    "workflow": """
        badge_url:string created_at:string html_url:string id:integer name:string node_id:string
        path:string state:string updated_at:string url:string
    """,
    "workflow_run": """
        actor:object|null artifacts_url:string cancel_url:string check_suite_id:integer
        check_suite_node_id:string check_suite_url:string conclusion:string|null created_at:string
        event:string head_branch:string|null head_commit:object head_repository:object head_sha:string
        html_url:string id:integer jobs_url:string logs_url:string name:string|null node_id:string
        path:string previous_attempt_url:string|null pull_requests:array repository:object
        rerun_url:string run_attempt:integer run_number:integer run_started_at:string status:string
        triggering_actor:object|null updated_at:string url:string workflow_id:integer
        workflow_url:string
    """,
    "check_run": """
        app:object|null check_suite:object completed_at:string|null conclusion:string|null
        details_url:string external_id:string head_sha:string html_url:string id:integer name:string
        node_id:string output:object pull_requests:array started_at:string status:string url:string
    """,
}
TYPES: dict[str, type | tuple[type, ...]] = {
    "array": list, "boolean": bool, "integer": int, "null": type(None), "object": dict, "string": str,
}  # fmt: skip


def payload(name: str, seed: int = 1) -> Any:
    return json.loads(build(resolve(name, provider="github"), seed=seed, now_s=NOW_S).body)


def problems(value: Any, fields: str) -> list[str]:
    """The fields (``name:type|type``) that `value` lacks or has in another type."""
    found = []
    for field in fields.split():
        name, _, kinds = field.partition(":")
        fits = [kind for kind in kinds.split("|") if name in value and isinstance(value[name], TYPES[kind])]
        if fits in ([], ["integer"]) and (not fits or isinstance(value[name], bool)):
            found.append(field)
    return found


def walk(value: Any, path: str = "") -> Any:
    if isinstance(value, dict | list):
        yield path, value
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from walk(one, f"{path}.{key}")


def test_every_event_is_in_the_table() -> None:
    assert set(TOP_LEVEL) == set(EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_has_the_fields_github_requires(name: str) -> None:
    made = payload(name)
    assert problems(made, TOP_LEVEL[name]) == []
    for key, value in made.items():
        if key in OBJECTS:
            assert problems(value, OBJECTS[key]) == [], key


def test_the_check_sees_a_missing_field_and_a_wrong_type() -> None:
    assert problems({"a": True, "c": None}, "a:integer b:string c:string|null c:object") == [
        "a:integer",
        "b:string",
        "c:object",
    ]


@pytest.mark.parametrize("name", EVENTS)
def test_an_action_in_the_name_is_the_action_in_the_body(name: str) -> None:
    event, _, action = name.partition(".")
    made = build(resolve(name), seed=1, now_s=NOW_S)
    assert dict(made.headers)[b"X-GitHub-Event"] == event.encode()
    assert json.loads(made.body).get("action", "") == action


@pytest.mark.parametrize("name", EVENTS)
def test_a_delivery_has_githubs_headers(name: str) -> None:
    made = build(resolve(name), seed=1, now_s=NOW_S)
    headers = {key.decode(): value.decode() for key, value in made.headers}
    assert headers["Content-Type"] == "application/json"
    assert headers["Accept"] == "*/*"
    assert re.fullmatch("GitHub-Hookshot/[0-9a-f]{7}", headers["User-Agent"])
    assert headers["X-GitHub-Delivery"] == made.delivery_id == str(uuid.UUID(made.delivery_id))
    assert headers["X-GitHub-Hook-ID"].isdecimal()
    assert headers["X-GitHub-Hook-Installation-Target-ID"] == str(json.loads(made.body)["repository"]["id"])
    assert headers["X-GitHub-Hook-Installation-Target-Type"] == "repository"
    assert not {"Host", "Content-Length", "X-Hub-Signature-256"} & set(headers)


@pytest.mark.parametrize("name", EVENTS)
def test_a_body_is_compact_and_has_raw_umlauts(name: str) -> None:
    body = build(resolve(name), seed=1, now_s=NOW_S).body
    assert json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode() == body
    assert "Zoë".encode() in body


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("seed", range(5))
def test_one_object_is_the_same_everywhere_and_urls_are_built_from_names(name: str, seed: int) -> None:
    made = payload(name, seed)
    repository = made["repository"]
    assert repository["full_name"] == f"{repository['owner']['login']}/{repository['name']}"
    users: dict[str, Any] = {}
    for path, one in walk(made):
        if isinstance(one, dict) and "full_name" in one:
            assert one == repository, path
        if isinstance(one, dict) and "login" in one:
            assert users.setdefault(one["login"], one) == one, path
            assert one["url"] == f"https://api.github.com/users/{one['login']}"
        if isinstance(one, dict) and "created_at" in one and isinstance(one["created_at"], str):
            assert one["created_at"] <= one.get("updated_at", one["created_at"]), path
    assert len({one["id"] for one in users.values()}) == len(users)
    for text in re.findall(
        r"https://(?:api\.)?github\.com/(?:repos/)?example-[^/]+/[\w-]+", json.dumps(made)
    ):
        assert text.endswith(repository["full_name"])


def test_a_push_brings_its_commits() -> None:
    made = payload("push")
    assert made["head_commit"] == made["commits"][-1]
    assert made["head_commit"]["id"] == made["after"] != made["before"]
    assert len({made["after"], made["before"], *(one["id"] for one in made["commits"])}) == 3
    base, _, head = made["compare"].rpartition("/")[2].partition("...")
    assert made["before"].startswith(base)
    assert made["after"].startswith(head)
    assert made["ref"] == f"refs/heads/{made['repository']['default_branch']}"
    assert made["pusher"]["name"] == made["sender"]["login"]
    assert isinstance(made["repository"]["created_at"], int)
    assert made["repository"]["owner"]["name"] == made["repository"]["owner"]["login"]


def test_a_pull_request_is_in_the_state_of_its_action() -> None:
    opened, closed, synchronized = (
        payload(f"pull_request.{one}") for one in ("opened", "closed", "synchronize")
    )
    assert opened["pull_request"]["state"] == "open"
    assert opened["pull_request"]["created_at"] == opened["pull_request"]["updated_at"]
    assert closed["pull_request"]["state"] == "closed"
    assert closed["pull_request"]["merged"] is True
    assert closed["pull_request"]["closed_at"] == closed["pull_request"]["merged_at"]
    assert closed["pull_request"]["merged_by"] == closed["sender"]
    assert synchronized["after"] == synchronized["pull_request"]["head"]["sha"] != synchronized["before"]
    assert opened["number"] == opened["pull_request"]["number"] == closed["number"]
    assert opened["pull_request"]["html_url"].endswith(f"/pull/{opened['number']}")


def test_an_issue_is_in_the_state_of_its_action() -> None:
    opened, closed = payload("issues.opened")["issue"], payload("issues.closed")["issue"]
    assert (opened["state"], opened["closed_at"], opened["comments"]) == ("open", None, 0)
    assert (closed["state"], closed["state_reason"], closed["closed_at"]) == (
        "closed",
        "completed",
        closed["updated_at"],
    )
    comment = payload("issue_comment.created")
    assert comment["comment"]["issue_url"] == comment["issue"]["url"]
    assert comment["issue"]["comments"] == 1


def test_reviews_runs_and_checks_are_about_the_same_commit() -> None:
    review, run, check = (
        payload("pull_request_review.submitted"),
        payload("workflow_run.completed"),
        payload("check_run.completed"),
    )
    assert review["review"]["commit_id"] == review["pull_request"]["head"]["sha"]
    assert run["workflow_run"]["workflow_id"] == run["workflow"]["id"]
    assert (
        run["workflow_run"]["head_sha"]
        == run["workflow_run"]["head_commit"]["id"]
        == check["check_run"]["head_sha"]
    )
    assert run["workflow_run"]["check_suite_id"] == check["check_run"]["check_suite"]["id"]
    assert (run["workflow_run"]["status"], run["workflow_run"]["conclusion"]) == ("completed", "success")
    assert check["check_run"]["started_at"] <= check["check_run"]["completed_at"]


def test_a_branch_is_created_and_deleted_by_its_name() -> None:
    for name in ("create", "delete"):
        made = payload(name)
        assert (made["ref_type"], made["full_ref"]) == ("branch", f"refs/heads/{made['ref']}")


def test_a_ping_shows_the_hook_of_the_headers() -> None:
    made = build(resolve("ping"), seed=1, now_s=NOW_S)
    body = json.loads(made.body)
    assert body["hook"]["id"] == body["hook_id"]
    assert dict(made.headers)[b"X-GitHub-Hook-ID"] == str(body["hook_id"]).encode()


@pytest.mark.parametrize("name", EVENTS)
def test_gidgethub_reads_the_delivery(name: str) -> None:
    made = build(resolve(name), seed=1, now_s=NOW_S)
    headers = {key.decode().lower(): value.decode() for key, value in made.headers}
    event = sansio.Event.from_http(headers, made.body)
    assert (event.event, event.delivery_id) == (name.partition(".")[0], made.delivery_id)
    assert event.data == json.loads(made.body)
