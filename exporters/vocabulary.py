"""Namespaces and terms that the exports are written in, as data; and how a record's uid becomes an IRI.

Every record of a store has the IRI `{base}/{store uid}/{kind}/{uid}`. Kinds have paths of their own, so that no IRI can name both
an entity and an activity (PROV-CONSTRAINTS 53 to 55). Only letters, digits and hyphens stand in the last part: never a file name.
"""

from __future__ import annotations

import re
from typing import Final

from lineagelog.exporters.statement import Name

DEFAULT_BASE: Final = "https://w3id.org/lineagelog/id"
"""Beginning of the IRIs of records; a store that publishes its records puts its own address here."""

NAMESPACES: Final = {
    "prov": "http://www.w3.org/ns/prov#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "dcterms": "http://purl.org/dc/terms/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "schema": "https://schema.org/",
    "oa": "http://www.w3.org/ns/oa#",
    "eventType": "http://id.loc.gov/vocabulary/preservation/eventType/",
    "ll": "https://w3id.org/lineagelog/ns#",
}
"""Prefix and IRI of each published vocabulary; `ll` is our own."""

KINDS: Final = (
    "user",
    "software",
    "storage",
    "environment",
    "transform",
    "transform-family",
    "artifact",
    "artifact-family",
    "collection",
    "collection-family",
    "label",
    "record",
    "feature",
    "project",
    "annotation",
    "annotating",
    "checking",
    "deleting",
    "run",
    "session",
    "role",
    "generation",
    "invalidation",
    "usage",
    "association",
    "delegation",
    "derivation",
    "log",
    "export",
    "exporting",
)
"""Kinds of records with IRIs of their own; each is a prefix as well."""

TYPE: Final = Name("prov:type")
LABEL: Final = Name("prov:label")
LOCATION: Final = Name("prov:location")
ROLE: Final = Name("prov:role")

PERSON: Final = Name("prov:Person")
SOFTWARE_AGENT: Final = Name("prov:SoftwareAgent")
PLAN: Final = Name("prov:Plan")
BUNDLE: Final = Name("prov:Bundle")
PLACE: Final = Name("prov:Location")
REVISION: Final = Name("prov:Revision")
PROV_COLLECTION: Final = Name("prov:Collection")
OA_ANNOTATION: Final = Name("oa:Annotation")

ARTIFACT: Final = Name("ll:Artifact")
ARTIFACT_FAMILY: Final = Name("ll:ArtifactFamily")
TRANSFORM: Final = Name("ll:Transform")
TRANSFORM_FAMILY: Final = Name("ll:TransformFamily")
STORAGE: Final = Name("ll:Storage")
ENVIRONMENT: Final = Name("ll:Environment")
RUN: Final = Name("ll:Run")
SESSION: Final = Name("ll:Session")
COLLECTION: Final = Name("ll:Collection")
COLLECTION_FAMILY: Final = Name("ll:CollectionFamily")
ULABEL: Final = Name("ll:Label")
RECORD: Final = Name("ll:Record")
FEATURE: Final = Name("ll:Feature")
PROJECT: Final = Name("ll:Project")
LABEL_ANNOTATION: Final = Name("ll:LabelAnnotation")
PROJECT_ASSIGNMENT: Final = Name("ll:ProjectAssignment")
PARENT_ASSIGNMENT: Final = Name("ll:ParentAssignment")
FEATURE_VALUE: Final = Name("ll:FeatureValue")
ANNOTATING: Final = Name("ll:Annotating")
CHECKING: Final = Name("ll:FixityCheck")
FIXITY_CHECK: Final = Name("eventType:fix")
DELETING: Final = Name("ll:Deletion")
DELETION: Final = Name("eventType:del")
EVENT_LOG: Final = Name("ll:EventLog")
EXPORTING: Final = Name("ll:Exporting")

CREATED: Final = Name("dcterms:created")
MODIFIED: Final = Name("dcterms:modified")
DESCRIPTION: Final = Name("dcterms:description")
TITLE: Final = Name("dcterms:title")
BYTE_SIZE: Final = Name("dcat:byteSize")
EMAIL: Final = Name("schema:email")
URL: Final = Name("schema:url")
HAS_TARGET: Final = Name("oa:hasTarget")
HAS_BODY: Final = Name("oa:hasBody")

# Attributes of our own, by column; those of type `json` are written as JSON text.
HANDLE: Final = Name("ll:handle")
KEY: Final = Name("ll:key")
KIND: Final = Name("ll:kind")
SUFFIX: Final = Name("ll:suffix")
SHA256: Final = Name("ll:sha256")
FOLDER_SHA256: Final = Name("ll:folderSha256")
COLLECTION_SHA256: Final = Name("ll:collectionSha256")
N_ARTIFACTS: Final = Name("ll:nArtifacts")
OBJECT_TYPE: Final = Name("ll:objectType")
N_FILES: Final = Name("ll:nFiles")
N_OBSERVATIONS: Final = Name("ll:nObservations")
N_VARIABLES: Final = Name("ll:nVariables")
TABLE_SCHEMA: Final = Name("ll:tableSchema")
PATH: Final = Name("ll:path")
VERSION_NUMBER: Final = Name("ll:versionNumber")
VERSION: Final = Name("ll:version")
TRANSFORM_TYPE: Final = Name("ll:transformType")
SOURCE_REDACTED: Final = Name("ll:sourceRedacted")
REFERENCE: Final = Name("ll:reference")
REFERENCE_TYPE: Final = Name("ll:referenceType")
ROOT: Final = Name("ll:root")
STORAGE_TYPE: Final = Name("ll:storageType")
REGION: Final = Name("ll:region")
ENDPOINT: Final = Name("ll:endpointUrl")
PYTHON: Final = Name("ll:python")
IMPLEMENTATION: Final = Name("ll:implementation")
PLATFORM: Final = Name("ll:platform")
PACKAGES: Final = Name("ll:packages")
HARDWARE: Final = Name("ll:hardware")
CONDA: Final = Name("ll:condaEnvironment")
CONDA_PACKAGES: Final = Name("ll:condaPackages")
STATUS: Final = Name("ll:status")
PARAMS: Final = Name("ll:params")
REDACTED: Final = Name("ll:redactedParams")
IN_ENVIRONMENT: Final = Name("ll:environment")
GIT_COMMIT: Final = Name("ll:gitCommit")
GIT_DIRTY: Final = Name("ll:gitDirty")
GIT_REMOTE: Final = Name("ll:gitRemote")
GIT_BRANCH: Final = Name("ll:gitBranch")
GIT_PATH: Final = Name("ll:gitPath")
IS_CONSECUTIVE: Final = Name("ll:isConsecutive")
STALE_CELLS: Final = Name("ll:staleCells")
UNRUN_CELLS: Final = Name("ll:unrunCells")
IMPORTS: Final = Name("ll:imports")
COMMAND: Final = Name("ll:command")
HOST: Final = Name("ll:host")
CONTAINER: Final = Name("ll:container")
ERROR_TYPE: Final = Name("ll:errorType")
ERROR_MESSAGE: Final = Name("ll:errorMessage")
STATE: Final = Name("ll:state")
REASON: Final = Name("ll:reason")
CONTENT_REMOVED: Final = Name("ll:contentRemoved")
SAW_AGAIN: Final = Name("ll:sawAgain")
DERIVATIONS_OMITTED: Final = Name("ll:derivationsOmitted")
IS_TYPE: Final = Name("ll:isType")
OF_TYPE: Final = Name("ll:ofType")
PARENT: Final = Name("ll:parent")
DTYPE: Final = Name("ll:dtype")
UNIT: Final = Name("ll:unit")
SYNONYMS: Final = Name("ll:synonyms")
OF_FEATURE: Final = Name("ll:feature")
VALUE: Final = Name("ll:value")
IN_PROJECT: Final = Name("ll:project")
OUTCOME: Final = Name("ll:outcome")
FOUND_SHA256: Final = Name("ll:foundSha256")
FOUND_BYTE_SIZE: Final = Name("ll:foundByteSize")
CONTENT_READ: Final = Name("ll:contentRead")
N_MISSING: Final = Name("ll:nMissing")
N_CHANGED: Final = Name("ll:nChanged")
N_UNCHECKED: Final = Name("ll:nUnchecked")
N_ORPHANS: Final = Name("ll:nOrphans")
BYTES_READ: Final = Name("ll:bytesRead")
HOW: Final = Name("ll:how")
ROLE_TEXT: Final = Name("ll:role")
FIRST_POSITION: Final = Name("ll:firstPosition")
LAST_POSITION: Final = Name("ll:lastPosition")
MERKLE_ROOT: Final = Name("ll:merkleRoot")
SCOPE: Final = Name("ll:scope")
DIRECTION: Final = Name("ll:direction")
MAX_DEPTH: Final = Name("ll:maxDepth")
OF_PROJECT: Final = Name("ll:ofProject")
OF_USER: Final = Name("ll:ofUser")
SINCE: Final = Name("ll:since")
UNTIL: Final = Name("ll:until")

OPERATOR: Final = Name("ll:operator")
INTERPRETER: Final = Name("ll:interpreter")
EXPORTER: Final = Name("ll:exporter")
ANNOTATOR: Final = Name("ll:annotator")
DELETER: Final = Name("ll:deleter")
CHECKER: Final = Name("ll:checker")
CHECKED: Final = Name("ll:checked")
KNOWN_ROLES: Final = {"input": Name("ll:input"), "output": Name("ll:output")}
"""Roles every store knows; others get IRIs within the store."""

_RECORD: Final = re.compile(rf"{re.escape(DEFAULT_BASE)}/[^/]+/([a-z-]+)/([A-Za-z0-9-]+)")
_PLAIN: Final = re.compile(r"(?=[0-9-]*[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


def store_prefixes(base: str, store_uid: str) -> dict[str, str]:
    """List every prefix that an export of a store declares, with its IRI.

    Args:
        base: Beginning of all IRIs; characters that an IRI cannot hold are percent-encoded.
        store_uid: Uid of the store.
    """
    from urllib.parse import quote

    root = f"{quote(base.rstrip('/'), safe=':/?#@!$&()*+,;=~-._%')}/{local_name(store_uid)}"
    return NAMESPACES | {kind: f"{root}/{kind}/" for kind in KINDS}


def local_name(uid: str) -> str:
    """Turn a uid into the last part of an IRI.

    A uid is letters, digits and single hyphens and stays as it is. Anything else, which a foreign log might hold, is written as
    `x--` and the hexadecimal digits of its UTF-8 form, so that two uids never share an IRI. So is a uid without a letter, for
    XML can write no name for it (Namespaces in XML 3: what follows the namespace begins with a letter).
    """
    if uid.isascii() and uid.isalnum() and not uid.isdigit():
        return uid
    if _PLAIN.fullmatch(uid):
        return uid
    return f"x--{uid.encode().hex()}"


def name(prefix: str, uid: str) -> Name:
    """Name a record by its kind and uid."""
    return Name(f"{prefix}:{local_name(uid)}")


def role(text: str) -> Name:
    """Name a role: one that every store knows, or one of this store."""
    return KNOWN_ROLES.get(text) or name("role", text)


def shorten(iri: str) -> str:
    """Write the IRI of a record, or of a term, as people name it: `artifact:Xk3…`, `prov:Entity`; any other text as it is."""
    match = _RECORD.fullmatch(iri)
    if match is not None:
        return f"{match[1]}:{match[2]}"
    for prefix, namespace in NAMESPACES.items():
        local = iri.removeprefix(namespace)
        if local != iri and _PLAIN.fullmatch(local):
            return f"{prefix}:{local}"
    return iri


def left_out_name(what: str) -> Name:
    """Name the attribute that counts what a partial export left out."""
    return Name(f"ll:leftOut{what[:1].upper()}{what[1:]}")
