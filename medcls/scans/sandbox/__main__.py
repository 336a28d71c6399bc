"""``python -m medcls.scans.sandbox``: a worker."""

from medcls.scans.sandbox.worker import main

main()
