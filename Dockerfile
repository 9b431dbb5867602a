# Two images from one file:  docker build --target service .   docker build --target training .
# Everything comes from requirements.lock, each package with its hash; nothing is compiled or downloaded at run time.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock ./
# uv with its own hash from the lock, then the rest through it.
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.lock > uv.txt \
    && python -m venv /uv \
    && /uv/bin/python -m pip install --no-cache-dir --require-hashes -r uv.txt \
    && python -m venv --without-pip /venv
COPY pyproject.toml README.md LICENSE ./
COPY recsvc recsvc
COPY training training
COPY configs configs
# The lock as constraints: only what an image needs is installed, at the locked version and with the locked hash.
RUN /uv/bin/uv pip install --no-cache --python /uv/bin/python --verify-hashes -c requirements.lock hatchling \
    && /uv/bin/uv build --wheel --no-build-isolation --python /uv/bin/python --out-dir /wheel . \
    && /uv/bin/uv pip install --no-cache --compile-bytecode --python /venv/bin/python --verify-hashes -c requirements.lock /wheel/*.whl

FROM build AS build-training
RUN /uv/bin/uv pip install --no-cache --compile-bytecode --python /venv/bin/python --verify-hashes -c requirements.lock \
    "$(echo /wheel/*.whl)[training]"

FROM python:3.11-slim-bookworm AS base
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OPENBLAS_NUM_THREADS=1 RECSVC_HOME=/data
RUN mkdir /data && chown 10001:10001 /data
VOLUME /data
USER 10001:10001
WORKDIR /data

FROM base AS training
# implicit and LightGBM need OpenMP, which the slim image lacks: it comes with a wheel, see training/openmp.py.
COPY --from=build-training /venv /venv
ENTRYPOINT ["recsvc-train"]
CMD ["train"]

FROM base AS service
COPY --from=build /venv /venv
ENV RECSVC_HOST=0.0.0.0 RECSVC_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["recsvc"]
CMD ["serve"]
