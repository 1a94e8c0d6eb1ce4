# One image per model, with its weights: `docker buildx bake mochi`. `docker buildx bake` alone makes the image without
# weights, which serves `sketch`, RunPod's cached models and those on a network volume. Weights whose terms must be
# accepted need HF_TOKEN in the environment. How many GB each has: `videoworker models`; RunPod takes images up to 80 GB.

variable "IMAGE" {
  default = "worker-video"
}

# As in src/videoworker/__init__.py.
variable "VERSION" {
  default = "0.1.0"
}

target "default" {
  platforms = ["linux/amd64"]
  args      = { VERSION = VERSION }
  secret    = ["id=HF_TOKEN,env=HF_TOKEN"]
  tags      = ["${IMAGE}:${VERSION}"]
}

target "sketch" {
  inherits = ["default"]
  args     = { MODEL = "sketch" }
  tags     = ["${IMAGE}:${VERSION}-sketch"]
}

target "hunyuanvideo-1_5" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5" }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5"]
}

# Both, because the 10 s that are the default of this model's API are begun by the one and continued by the other.
target "hunyuanvideo-1_5-720p" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "720p-t2v,720p-i2v" }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-720p"]
}

target "hunyuanvideo-1_5-480p" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "480p-t2v-distilled,480p-i2v-distilled" }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-480p"]
}

target "hunyuanvideo" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo" }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo"]
}

target "hunyuanvideo-i2v" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo", MODEL_VARIANT = "i2v" }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-i2v"]
}

target "mochi" {
  inherits = ["default"]
  args     = { MODEL = "mochi" }
  tags     = ["${IMAGE}:${VERSION}-mochi"]
}

target "ltx" {
  inherits = ["default"]
  args     = { MODEL = "ltx" }
  tags     = ["${IMAGE}:${VERSION}-ltx"]
}

target "cogvideox" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox"]
}

target "cogvideox-5b" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox", MODEL_VARIANT = "5b,5b-i2v" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox-5b"]
}

target "cogvideox-1_5-5b" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox", MODEL_VARIANT = "1.5-5b,1.5-5b-i2v" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox-1.5-5b"]
}
