"""Tells, a line of JSON each, who answers where: every member, and who a new connection through each
Service comes to. Runs in the model's network until its standard input ends; needs psycopg.

usage: watcher.py ADDRESS,ADDRESS,... SERVICE SERVICE    (the password in PGPASSWORD)
"""

import json
import os
import sys
import threading
import time

import psycopg

LOGIN = {"user": "operator", "dbname": "postgres", "password": os.environ["PGPASSWORD"],
         "connect_timeout": 2, "autocommit": True}
QUESTION = "select host(inet_server_addr()), pg_is_in_recovery()"
PAPER = threading.Lock()


def tell(what, where, value):
    """One line."""
    with PAPER:
        print(json.dumps({"at": time.time(), "what": what, "where": where, "value": value}), flush=True)


def member(address):
    """Looks at one member every 20 ms: told is what is new."""
    last = None
    while True:
        try:
            with psycopg.connect(host=address, **LOGIN) as connection:
                while True:
                    role = "standby" if connection.execute(QUESTION).fetchone()[1] else "primary"
                    if role != last:
                        last = role
                        tell("member", address, role)
                    time.sleep(0.02)
        except psycopg.Error:
            if last != "gone":
                last = "gone"
                tell("member", address, last)
        time.sleep(0.1)


def service(name):
    """Connects anew every 50 ms: told is where each connection came to."""
    while True:
        try:
            with psycopg.connect(host=name, **LOGIN) as connection:
                tell("service", name, connection.execute(QUESTION).fetchone()[0])
        except psycopg.Error:
            tell("service", name, None)
        time.sleep(0.05)


def main():
    """All at once."""
    for one in sys.argv[1].split(","):
        threading.Thread(target=member, args=(one,), daemon=True).start()
    for one in sys.argv[2:]:
        threading.Thread(target=service, args=(one,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main()
