"""RenewDelegationToken: the facts of its request and response. See the package."""

KEY = 39
REQUEST = """
RenewDelegationTokenRequest 0-2 flexible=2+
  hmac bytes 0+
  renew_period_ms int64 0+
"""
RESPONSE = """
RenewDelegationTokenResponse 0-2 flexible=2+
  error_code int16 0+
  expiry_timestamp_ms int64 0+
  throttle_time_ms int32 0+
"""
