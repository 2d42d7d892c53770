# Berth runs from its sources, so nothing is compiled: one stage installs what it needs, the other holds it.
ARG NODE_IMAGE=node:26-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional packages bring Node.js, which the image has.
RUN npm ci --omit=dev --omit=optional

FROM ${NODE_IMAGE}
# Scripts call `registry`, some by the path that it has in distribution's images, and name the file where registry:2 or
# registry:3 has it: both folders are one, so that whichever is mounted counts. A new volume belongs to the user `node`.
RUN ln -s /app/bin/berth.js /usr/local/bin/berth \
 && ln -s /app/bin/registry.js /usr/local/bin/registry \
 && ln -s /app/bin/registry.js /bin/registry \
 && mkdir -p /etc/distribution /etc/docker /var/lib/registry \
 && ln -s /etc/distribution /etc/docker/registry \
 && chown node:node /var/lib/registry

COPY deploy/config.yml /etc/distribution/config.yml
COPY deploy/entrypoint.sh /usr/local/bin/entrypoint.sh
COPY --from=dependencies /app/node_modules /app/node_modules
COPY package.json LICENSE /app/
COPY auth /app/auth
COPY bin /app/bin
COPY cli /app/cli
COPY coordination /app/coordination
COPY metadata /app/metadata
COPY oci /app/oci
COPY registry /app/registry
COPY server /app/server
COPY storage /app/storage
COPY upkeep /app/upkeep

ENV NODE_ENV=production \
    REGISTRY_CONFIGURATION_PATH=/etc/distribution/config.yml
# A path in a configuration that is not absolute then still lies in the volume.
WORKDIR /var/lib/registry
VOLUME /var/lib/registry
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["berth", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]
CMD ["serve"]
