"""The models that others meet: what stands on topics, what departments and rule files give, what REST answers, and the frames of the live protocol.

Each has its JSON Schema under `schemas/json/` (written by `schemas.generate`), so that it can be read and checked in any language.
"""

from __future__ import annotations

from typing import Any

from schemas import action, audit, command, control, health, live, notification, observation, rejected, report, rest, rule, rule_test, sensor, warning

MODELS: dict[str, Any] = {
    "action.WarningActions": action.WarningActions,
    "audit.AuditEntry": audit.AuditEntry,
    "command.Command": command.Command,
    "control.RuleActivation": control.RuleActivation,
    "control.SensorRecord": control.SensorRecord,
    "control.Tick": control.Tick,
    "health.Heartbeat": health.Heartbeat,
    "live.Delta": live.Delta,
    "live.Heartbeat": live.Heartbeat,
    "live.Hello": live.Hello,
    "live.Snapshot": live.Snapshot,
    "notification.Notification": notification.Notification,
    "observation.Measurement": observation.Measurement,
    "observation.Observation": observation.Observation,
    "rejected.Rejected": rejected.Rejected,
    "report.Report": report.Report,
    "report.Reported": report.Reported,
    "rest.Acknowledging": rest.Acknowledging,
    "rest.Credentials": rest.Credentials,
    "rest.Mute": rest.Mute,
    "rest.NewUser": rest.NewUser,
    "rest.OwnPassword": rest.OwnPassword,
    "rest.RegionMap": rest.RegionMap,
    "rest.Session": rest.Session,
    "rest.SignIn": rest.SignIn,
    "rest.User": rest.User,
    "rest.UserChange": rest.UserChange,
    "rest.WarningStory": rest.WarningStory,
    "rule.Rule": rule.Rule,
    "rule_test.RuleTests": rule_test.RuleTests,
    "sensor.Sensor": sensor.Sensor,
    "warning.Warning": warning.Warning,
}
"""By `<module>.<Model>`, the name that topics' files use; a value is anything that pydantic's `TypeAdapter` takes."""
