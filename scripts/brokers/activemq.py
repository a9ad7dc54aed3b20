"""Apache ActiveMQ Classic: its configuration, as the page about it advises."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import quoteattr

from scripts.brokers.java import KEY_PASSWORD, Plan, Product

__all__ = ["ACTIVEMQ"]

_CONFIG: Final = """\
<beans xmlns="http://www.springframework.org/schema/beans"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="http://www.springframework.org/schema/beans
                           http://www.springframework.org/schema/beans/spring-beans.xsd
                           http://activemq.apache.org/schema/core
                           http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="clacks" dataDirectory="{folder}"
          persistent="false" useJmx="false" schedulerSupport="false" advisorySupport="true"
          populateJMSXUserID="true" useAuthenticatedPrincipalForJMSXUserID="true">
    <destinationPolicy>
      <policyMap>
        <policyEntries>
          <policyEntry topic="&gt;" topicPrefetch="1000">
            <pendingMessageLimitStrategy>
              <constantPendingMessageLimitStrategy limit="{waiting}"/>
            </pendingMessageLimitStrategy>
          </policyEntry>
        </policyEntries>
      </policyMap>
    </destinationPolicy>
    <plugins>
      <simpleAuthenticationPlugin anonymousAccessAllowed="false">
        <users>
{users}
        </users>
      </simpleAuthenticationPlugin>
    </plugins>
    {tls}
    <transportConnectors>
      <transportConnector name="amqp" uri="amqp://127.0.0.1:{port}?{options}"/>
      {secure}
    </transportConnectors>
  </broker>
</beans>
"""

_USER: Final = '          <authenticationUser username={name} password={password} groups="users"/>'

_TLS: Final = """\
<sslContext>
      <sslContext keyStore="file:{keys}" keyStoreType="PKCS12" keyStorePassword="{password}"/>
    </sslContext>"""

_OPTIONS: Final = "transport.transformer=jms&amp;transport.tcpNoDelay=true&amp;maxFrameSize=104857600"

_LOGGING: Final = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c %m%n
"""


def _prepare(plan: Plan) -> list[str]:
    tls = secure = ""
    if plan.keys is not None:
        tls = _TLS.format(keys=plan.keys, password=KEY_PASSWORD)
        secure = f'<transportConnector name="amqps" uri="amqp+ssl://127.0.0.1:{plan.tls_port}?{_OPTIONS}"/>'
    users = "\n".join(
        _USER.format(name=quoteattr(name), password=quoteattr(password))
        for name, password in plan.users.items()
    )
    (plan.folder / "activemq.xml").write_text(
        _CONFIG.format(
            folder=plan.folder,
            waiting=plan.waiting,
            users=users,
            tls=tls,
            secure=secure,
            port=plan.port,
            options=_OPTIONS,
        )
    )
    (plan.folder / "log4j2.properties").write_text(_LOGGING)
    return [
        f"-Dactivemq.home={plan.home}",
        f"-Dactivemq.base={plan.folder}",
        f"-Dactivemq.data={plan.folder}",
        f"-Dlog4j2.configurationFile={plan.folder / 'log4j2.properties'}",
        "-jar",
        str(plan.home / "bin" / "activemq.jar"),
        "start",
        f"xbean:file:{plan.folder / 'activemq.xml'}",
    ]


ACTIVEMQ: Final = Product("activemq", _prepare)
