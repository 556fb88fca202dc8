"""Media types that schemathesis has to be told how to send."""

import schemathesis

schemathesis.serializer.alias("application/vnd.gmcf.tree", "application/octet-stream")
schemathesis.serializer.alias("application/vnd.gmcf", "application/octet-stream")
