# One image for every process of the Procfile: docker run IMAGE sh scripts/procfile.sh worker
FROM python:3.13-slim AS build
WORKDIR /srv/parley
RUN python -m venv .venv
COPY requirements.txt .
RUN .venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.txt

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home parley
WORKDIR /srv/parley
COPY --from=build /srv/parley/.venv .venv
COPY Procfile *.py ./
COPY scripts/procfile.sh scripts/
COPY app app
COPY tasks tasks
COPY templates templates
COPY static static
ENV PATH=/srv/parley/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
# Of the web tier. Other processes switch it off (docker-compose.yml does).
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 8000}/healthz\", timeout=4)"]
CMD ["sh", "scripts/procfile.sh", "web"]
