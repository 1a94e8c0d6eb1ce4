# The worker's image, and the gateway's with `--target gateway`. `docker build .` has no weights but those of this
# repository. With `--build-arg MODEL=...`, and perhaps `--build-arg MODEL_VARIANT=...`, it brings a model's. With
# `--build-arg SOUND_MODEL=foley`, and perhaps `--build-arg SOUND_MODEL_VARIANT=xl`, it brings those of a sound model
# besides. docker-bake.hcl has the combinations that make sense. If Tencent's licence covers the weights, they come only
# with `--build-arg ACCEPT_TENCENT_LICENSE=true`.

# A Debian with Python 3.11 as `python`. Not a CUDA image: torch's wheels bring CUDA's libraries, which would lie in the
# image twice; of the host it needs only the driver, which the NVIDIA_* variables below ask for.
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG MODEL=
ARG MODEL_VARIANT=


# pip, which the image needs for its making alone.
FROM ${BASE_IMAGE} AS pip
RUN python -m venv /opt/pip


# What pip installs, in two layers: torch with CUDA's libraries, which is nearly all of the image and changes seldom, and
# the rest. Both are compiled here, into bytecode that no file's date makes stale; one module of torch's own tests is
# written for a later Python. pip and its cache are mounts, of which nothing stays: /mnt and /media are folders of the
# base, so that a builder has none to make, and none to forget.
FROM ${BASE_IMAGE} AS dependencies
COPY builder/requirements.txt /opt/venv/
RUN --mount=type=bind,from=pip,source=/opt/pip,target=/mnt --mount=type=cache,target=/media \
    python -m venv --without-pip /opt/venv \
    && XDG_CACHE_HOME=/media /mnt/bin/python -m pip --python /opt/venv/bin/python install --no-compile \
        --require-hashes --no-deps --only-binary :all: -r /opt/venv/requirements.txt
COPY builder/requirements-torch.txt builder/constraints-torch.txt /opt/torch/
RUN --mount=type=bind,from=pip,source=/opt/pip,target=/mnt --mount=type=cache,target=/media \
    XDG_CACHE_HOME=/media /mnt/bin/python -m pip --python /opt/venv/bin/python install --no-compile \
        --prefix /opt/torch -r /opt/torch/requirements-torch.txt -c /opt/torch/constraints-torch.txt \
    && echo /opt/torch/lib/python3.11/site-packages > /opt/venv/lib/python3.11/site-packages/torch.pth \
    && printf '#!/opt/venv/bin/python\nfrom videoworker.cli import main\nmain()\n' > /opt/venv/bin/videoworker \
    && chmod +x /opt/venv/bin/videoworker \
    && /opt/venv/bin/python -m compileall -q -j 0 -x py312_ --invalidation-mode unchecked-hash /opt/torch /opt/venv


# The gateway, which is all that there is of this stage: what it runs on, without torch, then itself.
FROM ${BASE_IMAGE} AS gateway
COPY builder/requirements-gateway.txt /opt/venv/
RUN --mount=type=bind,from=pip,source=/opt/pip,target=/mnt --mount=type=cache,target=/media \
    python -m venv --without-pip /opt/venv \
    && XDG_CACHE_HOME=/media /mnt/bin/python -m pip --python /opt/venv/bin/python install --no-compile \
        --require-hashes --no-deps --only-binary :all: -r /opt/venv/requirements-gateway.txt \
    && printf '#!/opt/venv/bin/python\nfrom videoworker.cli import main\nmain()\n' > /opt/venv/bin/videoworker \
    && chmod +x /opt/venv/bin/videoworker \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv
WORKDIR /app
# PORT: whatever the API, so that it is known which one to publish.
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONPATH=/app/src \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    PORT=8000 \
    GATEWAY_DATABASE_URL=sqlite:////data/gateway.db \
    GATEWAY_FOLDER=/data/videos
COPY LICENSE NOTICE ./
COPY src src
RUN python -m compileall -q --invalidation-mode unchecked-hash src \
    && useradd --uid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin gateway \
    && install --directory --owner gateway --group gateway /data
VOLUME /data
EXPOSE 8000
USER 1000:1000
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="worker-video gateway" \
      org.opencontainers.image.description="HTTP APIs of published video services over a RunPod endpoint" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
ENTRYPOINT ["videoworker", "gateway", "--host", "0.0.0.0"]
CMD ["--api", "all"]


# The weights to bake, by the code of `videoworker fetch`, the models' declarations, and nothing else of the worker's:
# other changes fetch nothing again. A hub's token is a build secret: `--secret id=HF_TOKEN,env=HF_TOKEN`.
FROM dependencies AS weights
ARG HF_ENDPOINT=https://huggingface.co
ARG MODEL
ARG MODEL_VARIANT
ARG ACCEPT_TENCENT_LICENSE=false
WORKDIR /build
COPY builder/fetch.py builder/
COPY src/videoworker/effort.py src/videoworker/errors.py videoworker/
COPY src/videoworker/commands/__init__.py src/videoworker/commands/model_arguments.py videoworker/commands/
COPY src/videoworker/weights/__init__.py src/videoworker/weights/convert.py src/videoworker/weights/fetch.py \
     src/videoworker/weights/files.py src/videoworker/weights/manifest.py src/videoworker/weights/published.py \
     src/videoworker/weights/verify.py videoworker/weights/
COPY src/videoworker/weights/layouts videoworker/weights/layouts
COPY src/videoworker/models videoworker/models
RUN --mount=type=secret,id=HF_TOKEN \
    HF_HOME=/tmp/hub HF_TOKEN_PATH=/run/secrets/HF_TOKEN \
    /opt/venv/bin/python -m builder.fetch --model "${MODEL}" --variant "${MODEL_VARIANT}" --to /weights
ARG SOUND_MODEL=
ARG SOUND_MODEL_VARIANT=
RUN --mount=type=secret,id=HF_TOKEN \
    HF_HOME=/tmp/hub HF_TOKEN_PATH=/run/secrets/HF_TOKEN \
    /opt/venv/bin/python -m builder.fetch --sound --model "${SOUND_MODEL}" --variant "${SOUND_MODEL_VARIANT}" \
        --to /weights


# The worker, what changes least first.
FROM dependencies AS worker
ARG MODEL
COPY --from=weights /weights /app/weights
WORKDIR /app
# MODEL: a worker with a model's weights serves every API with it, and asks no hub for others.
# RUNPOD_INIT_TIMEOUT: in seconds; weights of tens of GB may have to be fetched first.
# RUNPOD_MIN_CUDA_VERSION: torch's; the SDK ends a worker at its start if the driver is older.
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONPATH=/app/src \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    OUTPUT_DIR=/outputs \
    MODEL=${MODEL} \
    HF_HUB_OFFLINE=${MODEL:+1} \
    HF_HOME=/runpod-volume/huggingface-cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTORCH_ALLOC_CONF=expandable_segments:True \
    RUNPOD_LOG_LEVEL=INFO \
    RUNPOD_MIN_CUDA_VERSION=13.0 \
    RUNPOD_INIT_TIMEOUT=1800
COPY weights weights
COPY LICENSE NOTICE handler.py test_input.json ./
COPY src src
# The user's own are the folders that a worker may write to: for videos, for what it fetches, and where a volume may be.
RUN python -m compileall -q --invalidation-mode unchecked-hash handler.py src \
    && useradd --uid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin worker \
    && install --directory --owner worker --group worker weights /outputs /runpod-volume
USER 1000:1000
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="worker-video" \
      org.opencontainers.image.description="A RunPod Serverless worker for open video models" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
CMD ["python", "-u", "handler.py"]
