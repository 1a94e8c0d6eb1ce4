"""OpenStack Swift with its S3 API as one process: an S3 server that refuses what S3 refuses.

Runs under Debian's own Python, which sees the package python3-swift: `/usr/bin/python3 swift_server.py FOLDER`. Prints
the port once it serves, then serves until it is killed. FOLDER holds its configuration and its account and container
databases; objects are held in memory. The access key is `tests:worker`, the secret `not-a-real-secret`.
"""

import sys
from pathlib import Path

import eventlet
import eventlet.wsgi

eventlet.monkey_patch()

from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.utils import set_swift_dir  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

STORES = {"account": "account", "container": "container", "object": "mem_object"}  # ring -> Swift's name of the server

STORE = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
bind_port = {port}
recon_cache_path = {folder}
log_address = {folder}/no-syslog
[app:main]
use = egg:swift#{server}
conn_timeout = 60
node_timeout = 60
"""

PROXY = """
[DEFAULT]
swift_dir = {folder}
log_address = {folder}/no-syslog
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth slo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 60
node_timeout = 60
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
storage_domain = localhost
[filter:tempauth]
use = egg:swift#tempauth
user_tests_worker = not-a-real-secret .admin
[filter:slo]
use = egg:swift#slo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
"""


class Silence:
    """Where the servers write their access logs."""

    def write(self, _: str) -> None:
        pass


def serve(listener: object, configuration: Path) -> None:
    app = loadapp(str(configuration))
    eventlet.spawn(eventlet.wsgi.server, listener, app, Silence(), protocol=SwiftHttpProtocol, debug=False)


def main(folder: Path) -> None:
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
    set_swift_dir(str(folder))
    for kind, server in STORES.items():
        listener = eventlet.listen(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        builder = RingBuilder(1, 1, 0)  # two partitions, one copy
        place = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1}
        builder.add_dev(place)
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{kind}.ring.gz"))
        configuration = folder / f"{kind}.conf"
        configuration.write_text(STORE.format(folder=folder, port=port, server=server))
        serve(listener, configuration)
    (folder / "proxy.conf").write_text(PROXY.format(folder=folder))
    listener = eventlet.listen(("127.0.0.1", 0), backlog=128)
    serve(listener, folder / "proxy.conf")
    print(listener.getsockname()[1], flush=True)
    eventlet.sleep(10**6)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
