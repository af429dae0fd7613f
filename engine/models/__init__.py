"""Language models behind one port: litellm (imported when first called) and the offline model."""

from engine.models.choose import choose
from engine.models.errors import ModelError, ModelErrorKind, OutputSchemaError
from engine.models.offline import OfflineModel
from engine.models.port import Message, Model, ModelReply, ModelRequest, Usage, request_hash
from engine.models.replies import ReplyProblem, parse, read, repair_messages, validate
from engine.models.schemas import schema_of

__all__ = [
    "Message",
    "Model",
    "ModelError",
    "ModelErrorKind",
    "ModelReply",
    "ModelRequest",
    "OfflineModel",
    "OutputSchemaError",
    "ReplyProblem",
    "Usage",
    "choose",
    "parse",
    "read",
    "repair_messages",
    "request_hash",
    "schema_of",
    "validate",
]
