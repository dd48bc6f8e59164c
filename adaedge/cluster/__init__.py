"""An edge of many machines: replicas of an edge server on Ray Serve, behind an ingress of ours.

May import: ``late``, ``errors``, ``extras``, ``operating_point``, ``payload``, ``engine``, ``bundle``, ``runtime``.
Ray (extra ``ray``) places, watches, restarts and scales the replicas. Frames never pass through Ray: the ingress speaks
to terminals and to replicas over gRPC with TLS and tokens, and nothing received is unpickled.
"""

from adaedge.cluster.affinity import Affinity
from adaedge.cluster.ingress import Ingress
from adaedge.cluster.plan import ReplicaPlan

__all__ = ["Affinity", "Ingress", "ReplicaPlan"]
