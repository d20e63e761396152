"""The workspace's configuration: `freshet.toml`, typed, documented per field, unknown keys rejected.

Every field's description is what `freshet init` writes beside it and what docs/reference/configuration.md
lists.
"""

from freshet.core.config.alerts_section import AlertsConfig
from freshet.core.config.backup_section import BackupConfig
from freshet.core.config.config_file import Config, load, parse, read_text
from freshet.core.config.content_section import ContentConfig
from freshet.core.config.dashboard_section import DashboardConfig
from freshet.core.config.experiment_sections import (
    ExperimentsConfig,
    GuardrailConfig,
    MetricConfig,
    PricesConfig,
)
from freshet.core.config.export_section import ExportConfig
from freshet.core.config.log_sections import (
    MISSING,
    Columns,
    Events,
    InterestsConfig,
    ItemColumns,
    TransitionsConfig,
)
from freshet.core.config.model_sections import (
    CountsConfig,
    EvidenceConfig,
    GatesConfig,
    InferenceConfig,
    PlannerConfig,
    RankerConfig,
    SequenceConfig,
    TableConfig,
    TuningConfig,
)
from freshet.core.config.privacy_sections import PrivacyConfig, RetentionConfig
from freshet.core.config.ray_section import RayConfig
from freshet.core.config.schedule_section import ScheduleConfig
from freshet.core.config.screen_section import ScreenConfig
from freshet.core.config.serving_sections import (
    FeedbackConfig,
    HttpConfig,
    LiveConfig,
    ServingConfig,
    ServingRule,
)
from freshet.core.config.stream_section import StreamConfig
from freshet.core.config.telemetry_section import TelemetryConfig
from freshet.core.config.tracking_section import TrackingConfig
from freshet.core.config.users_section import UsersConfig

__all__ = [
    "MISSING",
    "AlertsConfig",
    "BackupConfig",
    "Columns",
    "Config",
    "ContentConfig",
    "CountsConfig",
    "DashboardConfig",
    "Events",
    "EvidenceConfig",
    "ExperimentsConfig",
    "ExportConfig",
    "FeedbackConfig",
    "GatesConfig",
    "GuardrailConfig",
    "HttpConfig",
    "InferenceConfig",
    "InterestsConfig",
    "ItemColumns",
    "LiveConfig",
    "MetricConfig",
    "PlannerConfig",
    "PricesConfig",
    "PrivacyConfig",
    "RankerConfig",
    "RayConfig",
    "RetentionConfig",
    "ScheduleConfig",
    "ScreenConfig",
    "SequenceConfig",
    "ServingConfig",
    "ServingRule",
    "StreamConfig",
    "TableConfig",
    "TelemetryConfig",
    "TrackingConfig",
    "TransitionsConfig",
    "TuningConfig",
    "UsersConfig",
    "load",
    "parse",
    "read_text",
]
