# Rascal in a container: the proxies, the panel or an agent, as an ordinary user.
#
#   docker build -t rascal .
#   docker run --rm -p 127.0.0.1:8474:8474 -v "$PWD/proxies.ini:/etc/rascal/proxies.ini:ro" rascal
#   docker run --rm rascal rascal-agent --redis redis://…
#   docker run --rm -p 127.0.0.1:8480:8480 rascal rascal-panel --config /etc/rascal/panel.ini
FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/rascal
COPY pyproject.toml constraints.txt ./
# What it needs changes seldom, what it is often: a layer each.
RUN python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > needs.txt \
 && /opt/rascal/bin/pip install -q -c constraints.txt -r needs.txt
COPY README.md LICENSE ./
COPY twisted twisted
COPY rascal rascal
# The version comes from tags, and there is no repository here.
ARG VERSION=0.1.dev0
RUN SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION /opt/rascal/bin/pip install -q --no-deps . \
 && /opt/rascal/bin/python -c "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))"

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 rascal \
 && mkdir -p /etc/rascal /var/lib/rascal && chown rascal /var/lib/rascal
COPY --from=build /opt/rascal /opt/rascal
ENV PATH=/opt/rascal/bin:$PATH PYTHONUNBUFFERED=1 RASCAL_STORE=/var/lib/rascal/runs.db
USER rascal
WORKDIR /var/lib/rascal
EXPOSE 8474 8480
ENTRYPOINT ["twistd", "-n", "--pidfile="]
CMD ["rascal-proxy", "--config", "/etc/rascal/proxies.ini"]
