"""SaslAuthenticate: the facts of its request and response. See the package."""

KEY = 36
REQUEST = """
SaslAuthenticateRequest 0-2 flexible=2+
  auth_bytes bytes 0+
"""
RESPONSE = """
SaslAuthenticateResponse 0-2 flexible=2+
  error_code int16 0+
  error_message string 0+ nullable=0+
  auth_bytes bytes 0+
  session_lifetime_ms int64 1+ ignorable
"""
