"""ExpireDelegationToken: the facts of its request and response. See the package."""

KEY = 40
REQUEST = """
ExpireDelegationTokenRequest 0-2 flexible=2+
  hmac bytes 0+
  expiry_time_period_ms int64 0+
"""
RESPONSE = """
ExpireDelegationTokenResponse 0-2 flexible=2+
  error_code int16 0+
  expiry_timestamp_ms int64 0+
  throttle_time_ms int32 0+
"""
