"""Apache Qpid Broker-J: its configuration, as the page about it advises."""

from __future__ import annotations

import json
from typing import Any, Final

from scripts.brokers.java import KEY_PASSWORD, Plan, Product

__all__ = ["BROKER_J"]


def _configuration(plan: Plan) -> dict[str, Any]:
    ports: list[dict[str, Any]] = [_port("amqp", plan.port)]
    stores = []
    if plan.keys is not None:
        stores.append(
            {
                "name": "keys",
                "type": "FileKeyStore",
                "storeUrl": str(plan.keys),
                "keyStoreType": "PKCS12",
                "password": KEY_PASSWORD,
            }
        )
        ports.append(
            {
                **_port("amqps", plan.tls_port),
                "transports": ["SSL"],
                "keyStore": "keys",
                "authenticationProvider": "users-tls",
            }
        )
    return {
        "name": "clacks",
        "modelVersion": "9.1",
        # A message in the name of another is refused.
        "context": {"qpid.broker_msg_auth": "true"},
        "authenticationproviders": [
            _provider("users", plan, []),
            # Over TLS Clacks says in SCRAM that it could bind the login to the certificate (RFC 5802, 6);
            # this broker takes that for an error. PLAIN inside TLS is what is left.
            _provider("users-tls", plan, ["CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]),
        ],
        "keystores": stores,
        "ports": ports,
        "virtualhostnodes": [
            {
                "name": "default",
                "type": "Memory",
                "defaultVirtualHostNode": "true",
                "virtualHostInitialConfiguration": json.dumps(_host(plan)),
            }
        ],
    }


def _provider(name: str, plan: Plan, without: list[str]) -> dict[str, Any]:
    users = [{"name": user, "type": "managed", "password": word} for user, word in plan.users.items()]
    return {
        "name": name,
        "type": "Plain",
        "secureOnlyMechanisms": [],
        "disabledMechanisms": without,
        "users": users,
    }


def _port(name: str, number: int) -> dict[str, Any]:
    return {
        "name": name,
        "port": number,
        "bindingAddress": "127.0.0.1",
        "authenticationProvider": "users",
        "protocols": ["AMQP_1_0"],
        "virtualhostaliases": [
            {"name": "nameAlias", "type": "nameAlias"},
            {"name": "defaultAlias", "type": "defaultAlias"},
            {"name": "hostnameAlias", "type": "hostnameAlias"},
        ],
    }


def _host(plan: Plan) -> dict[str, Any]:
    return {
        "type": "Memory",
        # Whatever waits for a slow subscriber: beyond that its oldest messages go.
        "context": {
            "queue.defaultMaximumQueueDepthMessages": str(plan.waiting),
            "queue.defaultOverflowPolicy": "RING",
            "qpid.broker_msg_auth": "true",
        },
        "nodeAutoCreationPolicies": [
            {
                "pattern": r".*\.(command|client)\..*",
                "nodeType": "queue",
                "createdOnPublish": True,
                "createdOnConsume": True,
                "attributes": {"overflowPolicy": "NONE", "maximumQueueDepthMessages": -1},
            }
        ],
    }


def _prepare(plan: Plan) -> list[str]:
    file = plan.folder / "initial.json"
    file.write_text(json.dumps(_configuration(plan), indent=2))
    work = plan.folder / "work"
    work.mkdir()
    return [
        "-XX:MaxDirectMemorySize=256m",
        f"-DQPID_HOME={plan.home}",
        f"-DQPID_WORK={work}",
        "-cp",
        f"{plan.home / 'lib'}/*",
        "org.apache.qpid.server.Main",
        "--store-type",
        "Memory",
        "--initial-config-path",
        str(file),
    ]


BROKER_J: Final = Product("broker-j", _prepare)
