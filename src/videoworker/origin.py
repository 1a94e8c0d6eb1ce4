"""Where a generated file comes from, in the words that other programs look for: IPTC's, as XMP."""

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from videoworker import __version__

SOFTWARE = "videoworker"
CREATOR_TOOL = f"{SOFTWARE} {__version__}"

# IPTC's digital source type of what a trained model has made: cv.iptc.org/newscodes/digitalsourcetype
TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

# And of a recording, or whatever else was given, to which such a model has added something.
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

# The id is that of every XMP packet (XMP Specification Part 1). It makes nothing unique.
_PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    {properties}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def manifest_beside(path: Path) -> Path:
    """Where the C2PA manifest of the video at `path` lies if it does not lie in the video itself."""
    return path.with_suffix(".c2pa")


@dataclass(frozen=True)
class Origin:
    """What a file was made with. `prompt` is None if the file must not tell it. `given` has the bytes of the clip that
    a model's sound was added to; None if the model has made all of it."""

    model: str
    model_revision: str
    prompt: str | None = None
    given: bytes | None = None

    @property
    def source_type(self) -> str:
        """IPTC's digital source type."""
        return TRAINED_ALGORITHMIC_MEDIA if self.given is None else COMPOSITE

    def xmp(self) -> bytes:
        """An XMP packet with the digital source type, the software, and the model. It is the same for equal origins.

        The model's properties are those of IPTC's Photo Metadata Standard 2025.1. The prompt is not in it.
        """
        properties = {
            "xmp:CreatorTool": CREATOR_TOOL,
            "Iptc4xmpExt:DigitalSourceType": self.source_type,
            "Iptc4xmpExt:AISystemUsed": self.model,
            "Iptc4xmpExt:AISystemVersionUsed": self.model_revision,
        }
        attributes = "\n    ".join(f"{name}={quoteattr(value)}" for name, value in properties.items())
        return _PACKET.format(properties=attributes).encode()
