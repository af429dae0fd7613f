"""Define pipelines and run them: the public names."""

from typing import TYPE_CHECKING, Any

from engine.agents import Agent
from engine.definition import Approval, Budget, Dep, DependencyType, ExecutionMode
from engine.errors import (
    CheckpointNotFoundError,
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
from engine.model_config import ModelConfig
from engine.params import Param
from engine.pipeline import Pipeline
from engine.policies import BreakerPolicy, Limit, RetryPolicy
from engine.replay.checkpoints import Checkpoint
from engine.result import PipelineResult
from engine.steps import PipelineStep
from engine.tools import tool
from store.errors import RunConflictError, RunNotFoundError, StoreError
from store.events import Safety
from store.mail import Message
from store.memories import Memory
from store.posts import Post
from store.state import RunStatus, StepStatus

if TYPE_CHECKING:
    from engine.api import run_agent, run_goal, run_pipeline
    from engine.config import TAgentConfig
    from engine.context import StepContext
    from engine.engine import Engine
    from engine.expressions import ConditionDSL
    from engine.plan import AgentStep, ExecutionPlan, ExecutionStrategy, select_strategy
    from engine.replay.difference import RunDiff

__all__ = [
    "Agent",
    "AgentStep",
    "Approval",
    "BreakerPolicy",
    "Budget",
    "Checkpoint",
    "CheckpointNotFoundError",
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
    "ExecutionPlan",
    "ExecutionStrategy",
    "ExpressionError",
    "Limit",
    "Memory",
    "Message",
    "ModelConfig",
    "Param",
    "Pipeline",
    "PipelineDeadlockError",
    "PipelineResult",
    "PipelineStep",
    "PipelineValidationError",
    "Post",
    "RetryPolicy",
    "RunConflictError",
    "RunDiff",
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
    "select_strategy",
    "tool",
]


_LATER = {
    "AgentStep": "engine.plan",
    "ConditionDSL": "engine.expressions",
    "Engine": "engine.engine",
    "ExecutionPlan": "engine.plan",
    "ExecutionStrategy": "engine.plan",
    "StepContext": "engine.context",
    "RunDiff": "engine.replay.difference",
    "TAgentConfig": "engine.config",
    "run_agent": "engine.api",
    "run_goal": "engine.api",
    "run_pipeline": "engine.api",
    "select_strategy": "engine.plan",
}
"""Names whose modules are loaded when they are first asked for: pydantic costs 50 ms, the expression language 23, and whoever only
looks at runs loads nothing that drives them."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found
