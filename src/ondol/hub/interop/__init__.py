"""Releases in the forms that others read: an OpenSSF model-signing bundle, an OCI layout.

They go out from a hub and are checked here; no update ever comes in by them, for neither says how
old it is. Every function needs files only and reaches no network.
"""

from ondol.hub.interop.bundle_keys import make_key
from ondol.hub.interop.bundles import Bundle, export_bundle, verify_bundle
from ondol.hub.interop.modelpack import export_layout

__all__ = ["Bundle", "export_bundle", "export_layout", "make_key", "verify_bundle"]
