"""SaslHandshake: the facts of its request and response. See the package."""

KEY = 17
REQUEST = """
SaslHandshakeRequest 0-1
  mechanism string 0+
"""
RESPONSE = """
SaslHandshakeResponse 0-1
  error_code int16 0+
  mechanisms []string 0+
"""
