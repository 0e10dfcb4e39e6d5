"""The same tool in the official Python library, as its guide has a server written: `fastmcp.py PORT`.

What was FastMCP is `MCPServer` since the second generation of the library.
"""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("bench", log_level="WARNING")


@server.tool(structured_output=False)
def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return str(a + b)


server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]), json_response=True)
