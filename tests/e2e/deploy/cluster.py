"""Three servers with addresses of their own, and a proxy before them."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time

INSIDE = "SLUICE_TEST_NAMESPACE"
START_SECONDS = 60


class Skip(Exception):
    pass


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


def works(*command):
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


class Cluster:
    @staticmethod
    def enter_namespace():
        """Starts this program again in a network namespace, where there may be one."""
        if INSIDE in os.environ:
            return
        probe = "ip link add near0 type veth peer name far0 && ip link add net0 type bridge"
        for unshare in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
            if works(*unshare, "sh", "-c", probe):
                os.environ[INSIDE] = "yes"
                os.execvp("unshare", [*unshare, sys.executable, *sys.argv])
        os.environ[INSIDE] = "no"
        print("no network namespaces here: on the loopback device")

    def __init__(self, sluice, work, drain_delay):
        self.sluice, self.work, self.drain_delay = sluice, work, drain_delay
        self.namespaces = os.environ[INSIDE] == "yes"
        self.prefix = "10.0.0." if self.namespaces else "127.0.0."
        self.addresses = [f"{self.prefix}{11 + i}" for i in range(3)]
        self.holders, self.servers = [], [None] * 3

    def __enter__(self):
        try:
            if self.namespaces:
                self._make_namespaces()
            for i in range(3):
                self.start(i)
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Namespaces end with the last process in them.
        for process in [*self.servers, *self.holders]:
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def _make_namespaces(self):
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "net0", "type", "bridge")
        run("ip", "addr", "add", "10.0.0.1/24", "dev", "net0")
        run("ip", "link", "set", "net0", "up")
        for i in range(3):
            holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
            self.holders.append(holder)
            own = os.readlink("/proc/self/ns/net")
            while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
                time.sleep(0.01)
            run("ip", "link", "add", f"near{i}", "type", "veth", "peer", "name", f"far{i}")
            run("ip", "link", "set", f"near{i}", "master", "net0", "up")
            run("ip", "link", "set", f"far{i}", "netns", str(holder.pid))
            for setting in (["link", "set", "lo", "up"], ["addr", "add", f"{self.addresses[i]}/24", "dev", f"far{i}"],
                            ["link", "set", f"far{i}", "up"]):
                run(*self._inside(i), "ip", *setting)

    def _inside(self, i):
        return ["nsenter", f"--net=/proc/{self.holders[i].pid}/ns/net"] if self.namespaces else []

    def start(self, i):
        log = open(self.work / f"server{i}.log", "ab")
        # nsenter gives way to the server, so that signals reach it.
        self.servers[i] = subprocess.Popen(
            [*self._inside(i), self.sluice, "serve", "--models", str(self.work / "models"), "--address",
             self.addresses[i], "--http-port", "8000", "--grpc-port", "8001", "--threads", "1", "--no-watch",
             "--drain-delay", str(self.drain_delay), "--drain-timeout", "20", "--no-access-log"],
            stdout=log, stderr=log)

    def kill(self, i):
        self.servers[i].kill()
        self.servers[i].wait()

    def end(self, i):
        """Its exit code after SIGTERM."""
        start = time.monotonic()
        self.servers[i].send_signal(signal.SIGTERM)
        code = self.servers[i].wait(timeout=60)
        assert time.monotonic() - start >= self.drain_delay - 0.1, "it did not wait for --drain-delay"
        return code

    def get(self, i, path):
        connection = http.client.HTTPConnection(self.addresses[i], 8000, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait_ready(self):
        until = time.monotonic() + START_SECONDS
        for i in range(3):
            while True:
                if self.servers[i].poll() is not None:
                    raise RuntimeError(f"server {i} ended: see {self.work}/server{i}.log")
                try:
                    if self.get(i, "/v2/health/ready")[0] == 200:
                        break
                except OSError:
                    pass
                if time.monotonic() > until:
                    raise RuntimeError(f"server {i} is not ready after {START_SECONDS} s")
                time.sleep(0.05)

    def answered(self):
        """Inferences of each server since it started."""
        totals = []
        for i in range(3):
            stats = json.loads(self.get(i, "/v2/models/stats")[1])["model_stats"]
            totals.append(sum(model["inference_count"] for model in stats))
        return totals


class Proxy:
    """nginx or haproxy with the sample that is named like it. http and grpc: (address, port) of it."""

    def __init__(self, name, samples, cluster, work):
        self.name, self.cluster, self.work = name, cluster, work
        address = "10.0.0.1" if cluster.namespaces else "127.0.0.1"
        self.http, self.grpc = (address, 8000), (address, 8001)
        sample = samples / ("nginx.conf" if name == "nginx" else "haproxy.cfg")
        text = sample.read_text()
        assert all(f"10.0.0.{11 + i}" in text for i in range(3)), f"{sample} does not name the servers"
        if not cluster.namespaces:
            text = text.replace("10.0.0.", "127.0.0.")
            text = re.sub(r"listen (?=800)", "listen 127.0.0.1:", text)
            text = re.sub(r"bind :(?=800)", "bind 127.0.0.1:", text)
        self.config = work / sample.name
        self.config.write_text(text.replace("/run/nginx-sluice.pid", str(work / "nginx.pid")))

    def command(self, *options):
        if self.name == "nginx":
            return ["nginx", "-p", str(self.work), "-c", str(self.config), *options]
        return ["haproxy", "-f", str(self.config), *options]

    def __enter__(self):
        result = subprocess.run(self.command("-t" if self.name == "nginx" else "-c"), capture_output=True, text=True)
        if result.returncode != 0 or "warning" in (result.stdout + result.stderr).lower():
            raise RuntimeError(f"{self.name} does not take its sample: {result.stdout}{result.stderr}")
        log = open(self.work / f"{self.name}.log", "wb")
        foreground = ["-g", "daemon off;"] if self.name == "nginx" else ["-db"]
        self.process = subprocess.Popen(self.command(*foreground), stdout=log, stderr=log)
        until = time.monotonic() + 15
        while True:
            try:
                connection = http.client.HTTPConnection(*self.http, timeout=5)
                connection.request("GET", "/v2/health/ready")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                raise RuntimeError(f"{self.name} does not answer: see {self.work}/{self.name}.log")
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
