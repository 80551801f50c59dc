"""Settings of authentication, encryption and authorisation."""

from fastlog.config.setting import Kind, OneOf, Range
from fastlog.config.tables.rows import planned, refused

ROWS = (
    planned(
        "authorizer.class.name",
        Kind.STRING,
        "",
        "The authorizer that checks what a principal may do. There is none yet: every client "
        "may do everything.",
    ),
    planned(
        "connections.max.reauth.ms",
        Kind.LONG,
        0,
        "Longest life of an authentication before a client must repeat it.",
        today=(0,),
    ),
    planned(
        "delegation.token.expiry.check.interval.ms",
        Kind.LONG,
        3600000,
        "How often expired delegation tokens are removed.",
        check=Range(1),
    ),
    planned(
        "delegation.token.expiry.time.ms",
        Kind.LONG,
        86400000,
        "Life of a delegation token before it must be renewed.",
        check=Range(1),
    ),
    planned(
        "delegation.token.master.key",
        Kind.PASSWORD,
        None,
        "Old name of delegation.token.secret.key.",
    ),
    planned(
        "delegation.token.max.lifetime.ms",
        Kind.LONG,
        604800000,
        "Longest life of a delegation token, renewals included.",
        check=Range(1),
    ),
    planned(
        "delegation.token.secret.key",
        Kind.PASSWORD,
        None,
        "Secret that delegation tokens are signed with.",
    ),
    planned(
        "password.encoder.cipher.algorithm",
        Kind.STRING,
        "AES/CBC/PKCS5Padding",
        "Cipher of passwords kept in ZooKeeper.",
    ),
    planned(
        "password.encoder.iterations",
        Kind.INT,
        4096,
        "Iterations of the key derivation for such passwords.",
        check=Range(1024),
    ),
    planned(
        "password.encoder.key.length",
        Kind.INT,
        128,
        "Key length for such passwords.",
        check=Range(8),
    ),
    planned(
        "password.encoder.keyfactory.algorithm",
        Kind.STRING,
        None,
        "Key derivation for such passwords.",
    ),
    planned(
        "password.encoder.old.secret",
        Kind.PASSWORD,
        None,
        "The secret before the present one, for re-encoding.",
    ),
    planned(
        "password.encoder.secret",
        Kind.PASSWORD,
        None,
        "Secret that passwords kept in ZooKeeper are encoded with.",
    ),
    refused(
        "principal.builder.class",
        Kind.CLASS,
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        "A Java class that names the principal of a connection.",
        dynamic=True,
    ),
    refused(
        "sasl.client.callback.handler.class", Kind.CLASS, None, "A Java class of the SASL client."
    ),
    planned(
        "sasl.enabled.mechanisms",
        Kind.LIST,
        ("GSSAPI",),
        "SASL mechanisms that clients may use.",
        dynamic=True,
    ),
    planned("sasl.jaas.config", Kind.PASSWORD, None, "JAAS login section.", dynamic=True),
    planned(
        "sasl.kerberos.kinit.cmd", Kind.STRING, "/usr/bin/kinit", "Path of kinit.", dynamic=True
    ),
    planned(
        "sasl.kerberos.min.time.before.relogin",
        Kind.LONG,
        60000,
        "Least time between two Kerberos logins.",
        dynamic=True,
    ),
    planned(
        "sasl.kerberos.principal.to.local.rules",
        Kind.LIST,
        ("DEFAULT",),
        "Rules from Kerberos principals to short names.",
        dynamic=True,
    ),
    planned(
        "sasl.kerberos.service.name",
        Kind.STRING,
        None,
        "Kerberos service name of the brokers.",
        dynamic=True,
    ),
    planned(
        "sasl.kerberos.ticket.renew.jitter",
        Kind.DOUBLE,
        0.05,
        "Random part of the ticket renewal time.",
        dynamic=True,
    ),
    planned(
        "sasl.kerberos.ticket.renew.window.factor",
        Kind.DOUBLE,
        0.8,
        "Share of a ticket's life after which it is renewed.",
        dynamic=True,
    ),
    refused(
        "sasl.login.callback.handler.class", Kind.CLASS, None, "A Java class of the SASL login."
    ),
    refused("sasl.login.class", Kind.CLASS, None, "A Java class of the SASL login."),
    planned("sasl.login.connect.timeout.ms", Kind.INT, None, "OAuth: connecting to the provider."),
    planned("sasl.login.read.timeout.ms", Kind.INT, None, "OAuth: reading from the provider."),
    planned(
        "sasl.login.refresh.buffer.seconds",
        Kind.SHORT,
        300,
        "OAuth: reserve before a token's end.",
        dynamic=True,
    ),
    planned(
        "sasl.login.refresh.min.period.seconds",
        Kind.SHORT,
        60,
        "OAuth: least time between refreshes.",
        dynamic=True,
    ),
    planned(
        "sasl.login.refresh.window.factor",
        Kind.DOUBLE,
        0.8,
        "OAuth: share of a token's life after which it is refreshed.",
        dynamic=True,
    ),
    planned(
        "sasl.login.refresh.window.jitter",
        Kind.DOUBLE,
        0.05,
        "OAuth: random part of that share.",
        dynamic=True,
    ),
    planned(
        "sasl.login.retry.backoff.max.ms",
        Kind.LONG,
        10000,
        "OAuth: longest pause between attempts.",
    ),
    planned("sasl.login.retry.backoff.ms", Kind.LONG, 100, "OAuth: first pause between attempts."),
    refused(
        "sasl.mechanism.controller.protocol",
        Kind.STRING,
        "GSSAPI",
        "SASL towards a KRaft controller.",
    ),
    planned(
        "sasl.mechanism.inter.broker.protocol",
        Kind.STRING,
        "GSSAPI",
        "SASL mechanism among brokers.",
        dynamic=True,
    ),
    planned(
        "sasl.oauthbearer.clock.skew.seconds",
        Kind.INT,
        30,
        "OAuth: difference of clocks tolerated.",
    ),
    planned(
        "sasl.oauthbearer.expected.audience", Kind.LIST, None, "OAuth: audience a token must name."
    ),
    planned(
        "sasl.oauthbearer.expected.issuer", Kind.STRING, None, "OAuth: issuer a token must name."
    ),
    planned(
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        Kind.LONG,
        3600000,
        "OAuth: how often the keys are fetched.",
    ),
    planned(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        Kind.LONG,
        10000,
        "OAuth: longest pause between fetches of the keys.",
    ),
    planned(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        Kind.LONG,
        100,
        "OAuth: first pause between fetches of the keys.",
    ),
    planned("sasl.oauthbearer.jwks.endpoint.url", Kind.STRING, None, "OAuth: where the keys are."),
    planned(
        "sasl.oauthbearer.scope.claim.name", Kind.STRING, "scope", "OAuth: name of the scope claim."
    ),
    planned(
        "sasl.oauthbearer.sub.claim.name", Kind.STRING, "sub", "OAuth: name of the subject claim."
    ),
    planned(
        "sasl.oauthbearer.token.endpoint.url", Kind.STRING, None, "OAuth: where tokens are issued."
    ),
    refused(
        "sasl.server.callback.handler.class", Kind.CLASS, None, "A Java class of the SASL server."
    ),
    planned(
        "sasl.server.max.receive.size",
        Kind.INT,
        524288,
        "Largest SASL message accepted before authentication.",
    ),
    planned(
        "security.inter.broker.protocol",
        Kind.STRING,
        "PLAINTEXT",
        "Security protocol among brokers.",
        check=OneOf(("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")),
        today=("PLAINTEXT",),
    ),
    refused("security.providers", Kind.STRING, None, "Java security providers."),
    planned(
        "ssl.allow.dn.changes",
        Kind.BOOLEAN,
        False,
        "Lets a new certificate carry another name.",
        today=(False,),
    ),
    planned(
        "ssl.allow.san.changes",
        Kind.BOOLEAN,
        False,
        "Lets a new certificate carry other alternative names.",
        today=(False,),
    ),
    planned("ssl.cipher.suites", Kind.LIST, (), "TLS cipher suites.", dynamic=True),
    planned(
        "ssl.client.auth",
        Kind.STRING,
        "none",
        "Whether clients must show a certificate.",
        check=OneOf(("required", "requested", "none")),
        dynamic=True,
        today=("none",),
    ),
    planned(
        "ssl.enabled.protocols",
        Kind.LIST,
        ("TLSv1.2", "TLSv1.3"),
        "TLS versions offered.",
        dynamic=True,
    ),
    planned(
        "ssl.endpoint.identification.algorithm",
        Kind.STRING,
        "https",
        "How the peer's host name is checked.",
        dynamic=True,
    ),
    refused(
        "ssl.engine.factory.class",
        Kind.CLASS,
        None,
        "A Java class that makes TLS engines.",
        dynamic=True,
    ),
    planned("ssl.key.password", Kind.PASSWORD, None, "Password of the private key.", dynamic=True),
    refused(
        "ssl.keymanager.algorithm", Kind.STRING, "SunX509", "A Java key manager.", dynamic=True
    ),
    planned(
        "ssl.keystore.certificate.chain",
        Kind.PASSWORD,
        None,
        "Certificate chain, in PEM.",
        dynamic=True,
    ),
    planned("ssl.keystore.key", Kind.PASSWORD, None, "Private key, in PEM.", dynamic=True),
    planned(
        "ssl.keystore.location",
        Kind.STRING,
        None,
        "File of the private key and its certificate.",
        dynamic=True,
    ),
    planned("ssl.keystore.password", Kind.PASSWORD, None, "Password of that file.", dynamic=True),
    planned("ssl.keystore.type", Kind.STRING, "JKS", "Kind of that file.", dynamic=True),
    planned(
        "ssl.principal.mapping.rules",
        Kind.STRING,
        "DEFAULT",
        "Rules from certificate names to principals.",
    ),
    planned("ssl.protocol", Kind.STRING, "TLSv1.3", "TLS version to begin with.", dynamic=True),
    refused("ssl.provider", Kind.STRING, None, "A Java security provider.", dynamic=True),
    refused(
        "ssl.secure.random.implementation",
        Kind.STRING,
        None,
        "A Java random generator.",
        dynamic=True,
    ),
    refused(
        "ssl.trustmanager.algorithm", Kind.STRING, "PKIX", "A Java trust manager.", dynamic=True
    ),
    planned(
        "ssl.truststore.certificates",
        Kind.PASSWORD,
        None,
        "Trusted certificates, in PEM.",
        dynamic=True,
    ),
    planned(
        "ssl.truststore.location", Kind.STRING, None, "File of trusted certificates.", dynamic=True
    ),
    planned("ssl.truststore.password", Kind.PASSWORD, None, "Password of that file.", dynamic=True),
    planned("ssl.truststore.type", Kind.STRING, "JKS", "Kind of that file.", dynamic=True),
)
