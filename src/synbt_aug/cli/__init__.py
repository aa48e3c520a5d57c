"""The `synbt` command."""
