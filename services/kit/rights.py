"""What departments may do on Kafka: each writes and reads its own topic, with groups of its own, and nothing else.

A department signs in by SCRAM as `department-<id>`. Such names are the platform's to give: here they get their passwords and rights, and lose
both when their department has gone. Who may write to a topic may do so idempotently (brokers since 3.0), and who may read or write may describe.

Import it only where it is used: librdkafka takes a tenth of a second to load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it re-exports all of them, some by assignment
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from services.kit import brokers
from services.kit.errors import Misconfigured, Unavailable
from services.kit.topics import inbound

_USER = "department-"
_TIMEOUT_S = 10.0
_ITERATIONS = 4096
"""Of SCRAM; the fewest that Kafka takes, as there is nothing to guess in a random password, and each connection has to do them."""
_ALLOWED = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ALLOW)  # type: ignore[arg-type] # None is any


def user_of(department: str) -> str:
    """Return the name by which a department signs in."""
    return _USER + department


def grant(address: str, departments: Mapping[str, str | None], report: Callable[[str], None]) -> None:
    """Give these departments their rights and passwords, and take both from all others; one that comes with None keeps the password it has.

    Does nothing where nobody signs in or the brokers ask nobody what he may do; that is reported, as is a department that cannot have a topic.
    Blocks, for 10 s at most at each of four questions. Raises `Misconfigured` when our user may not do this, `Unavailable` when Kafka does not
    answer.
    """
    shown = brokers.shown(address)
    if not brokers.has_user(address):
        report(f"Kafka at {shown} is reached without a user: departments get no rights of their own there")
        return
    topics = inbound(departments)
    if without := sorted(departments.keys() - topics):
        report(f"no topic to publish to for {', '.join(without)}: an id with a dot or a colon cannot be part of its name")
    admin = AdminClient({**brokers.librdkafka(address), "log_level": 0})
    try:
        _set_rights(admin, topics)
        _set_passwords(admin, {department: departments[department] for department in topics})
    except KafkaException as error:
        problem: KafkaError = error.args[0]
        if problem.code() != KafkaError.SECURITY_DISABLED:
            raise _translated(problem, shown) from error
        report(f"Kafka at {shown} has no authorizer: whoever reaches it may do everything there, departments have no rights of their own")


def _translated(problem: KafkaError, shown: str) -> Unavailable | Misconfigured:
    told = f"Kafka at {shown} did not set the rights of departments: {problem.name()}"  # its text tells the inside of a broker
    if problem.retriable() or problem.code() < 0:  # negative: librdkafka's own, that it got no answer
        return Unavailable(told)
    return Misconfigured(f"{told}; our user there needs to be allowed to alter and describe the cluster, best as one of its super.users")


def _set_rights(admin: AdminClient, topics: Mapping[str, str]) -> None:
    """Leave to names of ours exactly what is wanted; what was forbidden to one stays forbidden."""
    there = {acl for acl in _answer(admin.describe_acls(_ALLOWED, request_timeout=_TIMEOUT_S)) if acl.principal.startswith(f"User:{_USER}")}
    wanted = {acl for department, topic in topics.items() for acl in _rights(department, topic)}
    if missing := list(wanted - there):
        _answers(admin.create_acls(missing, request_timeout=_TIMEOUT_S))
    if surplus := [_exactly(acl) for acl in there - wanted]:
        _answers(admin.delete_acls(surplus, request_timeout=_TIMEOUT_S))


def _rights(department: str, topic: str) -> Iterable[AclBinding]:
    for kind, name, pattern, operation in (
        (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, AclOperation.WRITE),
        (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, AclOperation.READ),
        (ResourceType.GROUP, f"{department}.", ResourcePatternType.PREFIXED, AclOperation.READ),
    ):
        yield AclBinding(kind, name, pattern, f"User:{user_of(department)}", "*", operation, AclPermissionType.ALLOW)


def _exactly(acl: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(acl.restype, acl.name, acl.resource_pattern_type, acl.principal, acl.host, acl.operation, acl.permission_type)


def _set_passwords(admin: AdminClient, passwords: Mapping[str, str | None]) -> None:
    """Set those that are told; Kafka tells none, so whether one is another than before is not known."""
    there = _answer(admin.describe_user_scram_credentials(request_timeout=_TIMEOUT_S))
    ours = {user_of(department) for department in passwords}
    gone = (found for user, found in there.items() if user.startswith(_USER) and user not in ours)
    changes = [
        *(UserScramCredentialDeletion(found.user, info.mechanism) for found in gone for info in found.scram_credential_infos),
        *(
            UserScramCredentialUpsertion(user_of(department), ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, _ITERATIONS), password.encode())
            for department, password in passwords.items()
            if password
        ),
    ]
    if changes:
        _answers(admin.alter_user_scram_credentials(changes, request_timeout=_TIMEOUT_S))


def _answers(futures: Mapping[Any, Future[Any]]) -> None:
    for future in futures.values():
        _answer(future)


def _answer(future: Any) -> Any:
    return future.result(_TIMEOUT_S + 1.0)  # librdkafka gives up before that
