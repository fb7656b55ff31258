// The whole of Parley on Railway: Redis, web, worker and Flower. See docs/deploy.md.
//   railway config plan     what would change
//   railway config apply    change it
import { defineRailway, preserve, project, redis, service } from "railway/iac";

export default defineRailway(() => {
  const store = redis("Redis");
  // Railway's own command keeps snapshots only: a restart would lose what came after the last one.
  store.deploy = {
    startCommand:
      '/bin/sh -c "exec docker-entrypoint.sh redis-server --requirepass $REDIS_PASSWORD --bind \'* -::*\' ' +
      "--appendonly yes --appendfsync everysec --save '' --maxmemory-policy noeviction --dir $RAILWAY_VOLUME_MOUNT_PATH\"",
  };

  // Parley takes these where REDIS_URL is absent.
  const redisVariables = {
    REDISHOST: store.env.REDISHOST,
    REDISPORT: store.env.REDISPORT,
    REDISUSER: store.env.REDISUSER,
    REDISPASSWORD: store.env.REDISPASSWORD,
  };
  // Set once with `railway variable set`; their values live on Railway only.
  const secrets = { SECRET_KEY: preserve(), OPENAI_API_KEY: preserve() };
  const build = { builder: "DOCKERFILE", dockerfilePath: "Dockerfile" } as const;
  const start = (name: string) => `sh scripts/procfile.sh ${name}`;

  const web = service("web", {
    build,
    start: start("web"),
    healthcheck: "/healthz",
    // Railway sends SIGKILL at once unless told to wait. gunicorn takes up to 20 seconds, as does a worker.
    deploy: { drainingSeconds: 30, overlapSeconds: 5, restartPolicyType: "ALWAYS" },
    env: { ...redisVariables, ...secrets, TRUSTED_PROXIES: "1", METRICS_TOKEN: preserve() },
  });

  const worker = service("worker", {
    build,
    start: start("worker"),
    deploy: { drainingSeconds: 30, restartPolicyType: "ALWAYS" },
    env: { ...redisVariables, ...secrets },
  });

  const flower = service("flower", {
    build,
    start: start("flower"),
    deploy: { restartPolicyType: "ALWAYS" },
    env: { ...redisVariables, ...secrets, FLOWER_BASIC_AUTH: preserve() },
  });

  return project("parley", { resources: [store, web, worker, flower] });
});
