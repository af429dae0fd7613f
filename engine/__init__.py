"""Define pipelines and run them: the public names."""

from typing import TYPE_CHECKING, Any

from engine.api import run_agent, run_goal, run_pipeline
from engine.context import StepContext
from engine.definition import Dep, DependencyType, ExecutionMode
from engine.engine import Engine
from engine.errors import (
    CircuitOpenError,
    CommandRefusedError,
    DefinitionChangedError,
    DependencyError,
    EffectFailedError,
    EngineError,
    ExpressionError,
    PipelineDeadlockError,
    PipelineValidationError,
    StepExecutionError,
    StepTimeoutError,
    TargetError,
)
from engine.expressions import ConditionDSL
from engine.pipeline import Pipeline
from engine.policies import BreakerPolicy, Limit, RetryPolicy
from engine.result import PipelineResult
from engine.steps import PipelineStep
from store.errors import RunConflictError, RunNotFoundError, StoreError
from store.events import Safety
from store.mail import Message
from store.memories import Memory
from store.posts import Post
from store.state import RunStatus, StepStatus

if TYPE_CHECKING:
    from engine.config import TAgentConfig

__all__ = [
    "BreakerPolicy",
    "CircuitOpenError",
    "CommandRefusedError",
    "ConditionDSL",
    "DefinitionChangedError",
    "Dep",
    "DependencyError",
    "DependencyType",
    "EffectFailedError",
    "Engine",
    "EngineError",
    "ExecutionMode",
    "ExpressionError",
    "Limit",
    "Memory",
    "Message",
    "Pipeline",
    "PipelineDeadlockError",
    "PipelineResult",
    "PipelineStep",
    "PipelineValidationError",
    "Post",
    "RetryPolicy",
    "RunConflictError",
    "RunNotFoundError",
    "RunStatus",
    "Safety",
    "StepContext",
    "StepExecutionError",
    "StepStatus",
    "StepTimeoutError",
    "StoreError",
    "TAgentConfig",
    "TargetError",
    "run_agent",
    "run_goal",
    "run_pipeline",
]


def __getattr__(name: str) -> Any:
    """The settings, when they are first asked for: with pydantic this import takes 130 ms, without 80."""
    if name == "TAgentConfig":
        from engine.config import TAgentConfig

        return TAgentConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
