"""Apache ActiveMQ Artemis: its configuration, as the page about it advises; alone or as one of a cluster."""

from __future__ import annotations

from functools import partial
from typing import Final

from scripts.brokers.java import KEY_PASSWORD, Plan, Product

__all__ = ["ARTEMIS", "CLUSTER_USER", "clustered"]

CLUSTER_USER: Final = ("cluster", "cluster-secret")

_BROKER: Final = """\
<configuration xmlns="urn:activemq">
  <core xmlns="urn:activemq:core">
    <name>clacks{port}</name>
    <persistence-enabled>false</persistence-enabled>
    <security-enabled>true</security-enabled>
    <populate-validated-user>true</populate-validated-user>
    <journal-directory>{folder}/journal</journal-directory>
    <bindings-directory>{folder}/bindings</bindings-directory>
    <large-messages-directory>{folder}/large</large-messages-directory>
    <paging-directory>{folder}/paging</paging-directory>
    <global-max-size>96M</global-max-size>
    <message-expiry-scan-period>1000</message-expiry-scan-period>
    <acceptors>
      <acceptor name="amqp">tcp://127.0.0.1:{port}?protocols=AMQP;saslMechanisms=PLAIN</acceptor>
{acceptors}
    </acceptors>
{cluster}
    <security-settings>
      <security-setting match="#">
        <permission type="createNonDurableQueue" roles="users"/>
        <permission type="deleteNonDurableQueue" roles="users"/>
        <permission type="createDurableQueue" roles="users"/>
        <permission type="deleteDurableQueue" roles="users"/>
        <permission type="createAddress" roles="users"/>
        <permission type="deleteAddress" roles="users"/>
        <permission type="consume" roles="users"/>
        <permission type="browse" roles="users"/>
        <permission type="send" roles="users"/>
      </security-setting>
    </security-settings>
    <address-settings>
      <address-setting match="#">
        <redistribution-delay>0</redistribution-delay>
        <address-full-policy>PAGE</address-full-policy>
      </address-setting>
      <address-setting match="*.*.event.#">
        <default-ring-size>{waiting}</default-ring-size>
      </address-setting>
      <address-setting match="*.*.*.event.#">
        <default-ring-size>{waiting}</default-ring-size>
      </address-setting>
    </address-settings>
  </core>
</configuration>
"""

_BOOTSTRAP: Final = """\
<broker xmlns="http://activemq.apache.org/schema">
  <jaas-security domain="clacks"/>
  <server configuration="file:{folder}/etc/broker.xml"/>
</broker>
"""

_MANAGEMENT: Final = """\
<management-context xmlns="http://activemq.apache.org/schema"/>
"""

_LOGIN: Final = """\
clacks {
  org.apache.activemq.artemis.spi.core.security.jaas.PropertiesLoginModule required
    org.apache.activemq.jaas.properties.user="users.properties"
    org.apache.activemq.jaas.properties.role="roles.properties";
};
"""

_LOGGING: Final = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c %m%n
"""

_CLUSTER: Final = """\
    <cluster-user>{user}</cluster-user>
    <cluster-password>{password}</cluster-password>
    <connectors>
      <connector name="own">tcp://127.0.0.1:{own}</connector>
      <connector name="other">tcp://127.0.0.1:{other}</connector>
    </connectors>
    <cluster-connections>
      <cluster-connection name="clacks">
        <connector-ref>own</connector-ref>
        <retry-interval>200</retry-interval>
        <message-load-balancing>ON_DEMAND</message-load-balancing>
        <max-hops>1</max-hops>
        <static-connectors><connector-ref>other</connector-ref></static-connectors>
      </cluster-connection>
    </cluster-connections>
"""


def _prepare(plan: Plan, other: int | None = None) -> list[str]:
    etc = plan.folder / "etc"
    etc.mkdir()
    acceptors, cluster, users = [], "", dict(plan.users)
    if plan.keys is not None:
        acceptors.append(
            f'<acceptor name="amqps">tcp://127.0.0.1:{plan.tls_port}?protocols=AMQP;saslMechanisms=PLAIN;'
            f"sslEnabled=true;keyStorePath={plan.keys};keyStoreType=PKCS12;"
            f"keyStorePassword={KEY_PASSWORD}</acceptor>"
        )
    if other is not None:
        own = plan.more_ports[0]
        acceptors.append(f'<acceptor name="core">tcp://127.0.0.1:{own}?protocols=CORE</acceptor>')
        cluster = _CLUSTER.format(own=own, other=other, user=CLUSTER_USER[0], password=CLUSTER_USER[1])
    (etc / "broker.xml").write_text(
        _BROKER.format(
            folder=plan.folder,
            port=plan.port,
            acceptors="\n".join(f"      {one}" for one in acceptors),
            cluster=cluster,
            waiting=plan.waiting,
        )
    )
    (etc / "bootstrap.xml").write_text(_BOOTSTRAP.format(folder=plan.folder))
    (etc / "management.xml").write_text(_MANAGEMENT)
    (etc / "login.config").write_text(_LOGIN)
    (etc / "log4j2.properties").write_text(_LOGGING)
    (etc / "users.properties").write_text("".join(f"{name} = {word}\n" for name, word in users.items()))
    (etc / "roles.properties").write_text(f"users = {','.join(users)}\n")
    return [
        f"-Djava.security.auth.login.config={etc / 'login.config'}",
        f"-Dlog4j2.configurationFile={etc / 'log4j2.properties'}",
        f"-Dartemis.home={plan.home}",
        f"-Dartemis.instance={plan.folder}",
        f"-Dartemis.instance.etc={etc}",
        f"-Ddata.dir={plan.folder / 'data'}",
        "-cp",
        str(plan.home / "lib" / "artemis-boot.jar"),
        "org.apache.activemq.artemis.boot.Artemis",
        "run",
    ]


ARTEMIS: Final = Product("artemis", _prepare)


def clustered(other: int) -> Product:
    """Return Artemis as a node of a cluster of two; the other listens for nodes on port ``other``."""
    return Product("artemis", partial(_prepare, other=other))
