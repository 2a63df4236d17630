// The files of tools/deploy against the schemas that packages have: values by Kubernetes' OpenAPI schemas, names of
// members by the types made of them, which know no others; the Dockerfile by a linter. What they say about the server
// is compared with what it says itself.
//   node manifests_test.mjs WORK SLUICE      WORK has node_modules
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const [work, sluice] = process.argv.slice(2);
const kDeploy = new URL('../../../tools/deploy/', import.meta.url).pathname;
const require = createRequire(join(work, 'package.json'));
// Packages are looked for from the file that imports them.
writeFileSync(join(work, 'load.mjs'), 'export default (name) => import(name);\n');
const { default: load } = await import(pathToFileURL(join(work, 'load.mjs')));
const yaml = await load('yaml');

// Where the types of a resource are, and whether there is a validator of values beside them.
const kModules = {
  'apps/v1 Deployment': ['kubernetes-models/apps/v1/Deployment', true],
  'v1 Service': ['kubernetes-models/v1/Service', true],
  'v1 PersistentVolumeClaim': ['kubernetes-models/v1/PersistentVolumeClaim', true],
  'autoscaling/v2 HorizontalPodAutoscaler': ['kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler', true],
  'policy/v1 PodDisruptionBudget': ['kubernetes-models/policy/v1/PodDisruptionBudget', true],
  'serving.kserve.io/v1alpha1 ClusterServingRuntime': ['./kserve', false],
  'serving.kserve.io/v1beta1 InferenceService': ['./kserve', false],
};

function documents(folder) {
  return readdirSync(join(kDeploy, folder)).sort().filter((name) => name.endsWith('.yaml')).flatMap((name) =>
    yaml.parseAllDocuments(readFileSync(join(kDeploy, folder, name), 'utf8')).map((document) => {
      assert.deepEqual(document.errors, [], name);
      return { name: `${folder}/${name}`, value: document.toJS() };
    }));
}
const resources = [...documents('kubernetes'), ...documents('kserve')].filter(({ value }) => value.kind !== 'Kustomization');
const find = (kind) => resources.find(({ value }) => value.kind === kind).value;

// The compiler's complaints about these resources.
function typeErrors(list) {
  const folder = join(work, 'types');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  symlinkSync(join(work, 'node_modules'), join(folder, 'node_modules'));
  copyFileSync(new URL('kserve.d.ts', import.meta.url), join(folder, 'kserve.d.ts'));
  list.forEach(({ value }, i) => {
    const [module] = kModules[`${value.apiVersion} ${value.kind}`];
    writeFileSync(join(folder, `resource${i}.ts`),
      `import type { I${value.kind} } from '${module}';\nexport const resource: I${value.kind} = ${JSON.stringify(value, null, 1)};\n`);
  });
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { strict: true, noEmit: true, skipLibCheck: true, module: 'esnext', moduleResolution: 'bundler', target: 'es2022', types: [] },
    include: ['*.ts'],
  }));
  const result = spawnSync(process.execPath, [join(work, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' });
  assert.equal(result.error, undefined);
  return result.stdout;
}

test('all resources are of kinds that can be checked', () => {
  assert.ok(resources.length >= 8);
  for (const { name, value } of resources) assert.ok(kModules[`${value.apiVersion} ${value.kind}`], `${name}: ${value.apiVersion} ${value.kind}`);
});

test('values fit the schemas', async () => {
  for (const { name, value } of resources) {
    const [module, hasValidator] = kModules[`${value.apiVersion} ${value.kind}`];
    if (!hasValidator) continue;
    const Kind = (await load(module))[value.kind];
    assert.doesNotThrow(() => new Kind(value).validate(), name);
    const wrong = structuredClone(value);
    wrong.metadata.name = 5;
    assert.throws(() => new Kind(wrong).validate(), /name/, `${name}: the validator takes everything`);
  }
});

test('members have the names and types that the kinds have', () => {
  assert.equal(typeErrors(resources), '');
  const deployment = structuredClone(find('Deployment'));
  deployment.spec.template.spec.containers[0].readynessProbe = {};
  assert.match(typeErrors([{ value: deployment }]), /readynessProbe/);
  const runtime = structuredClone(find('ClusterServingRuntime'));
  runtime.spec.supportedModelTypes = [];
  assert.match(typeErrors([{ value: runtime }]), /supportedModelTypes/);
});

test('kustomization.yaml names every file', () => {
  const { resources: names } = yaml.parse(readFileSync(join(kDeploy, 'kubernetes/kustomization.yaml'), 'utf8'));
  assert.deepEqual([...names, 'kustomization.yaml'].sort(), readdirSync(join(kDeploy, 'kubernetes')).sort());
});

test('resources fit each other', () => {
  const { spec } = find('Deployment');
  const labels = spec.template.metadata.labels;
  const [container] = spec.template.spec.containers;
  const ports = new Map(container.ports.map(({ name, containerPort }) => [name, containerPort]));
  assert.deepEqual(spec.selector.matchLabels, labels);
  assert.deepEqual(find('PodDisruptionBudget').spec.selector.matchLabels, labels);
  for (const { value } of resources.filter((one) => one.value.kind === 'Service')) {
    assert.deepEqual(value.spec.selector, labels);
    for (const { port, targetPort } of value.spec.ports) assert.equal(ports.get(targetPort), port);
  }
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) assert.ok(ports.has(container[probe].httpGet.port), probe);
  const { scaleTargetRef, metrics } = find('HorizontalPodAutoscaler').spec;
  assert.equal(scaleTargetRef.name, find('Deployment').metadata.name);
  const claim = find('PersistentVolumeClaim').metadata.name;
  assert.ok(spec.template.spec.volumes.some((volume) => volume.persistentVolumeClaim?.claimName === claim));
  const adapter = yaml.parse(readFileSync(join(kDeploy, 'prometheus-adapter-values.yaml'), 'utf8'));
  assert.equal(adapter.rules.custom[0].name.as, metrics[0].pods.metric.name);
  const series = /^(\w+)\{/.exec(adapter.rules.custom[0].seriesQuery)[1];
  const source = readFileSync(new URL('../../../tools/serve/metric_families.cpp', import.meta.url), 'utf8');
  assert.ok(source.includes(`"${series}"`), `${series} is no metric of the server`);
  assert.equal(find('InferenceService').spec.predictor.model.runtime, find('ClusterServingRuntime').metadata.name);
});

test('options are those of the server, and leave it the time that it needs', () => {
  const help = spawnSync(sluice, ['serve', '--help'], { encoding: 'utf8' }).stdout;
  const known = new Set(help.match(/--[a-z][a-z-]*/g));
  const docker = readFileSync(join(kDeploy, 'Dockerfile'), 'utf8');
  const lists = [find('Deployment').spec.template.spec.containers[0].args, find('ClusterServingRuntime').spec.containers[0].args, JSON.parse(/^CMD (\[.*\])$/m.exec(docker)[1])];
  for (const args of lists) {
    assert.equal(args[0], 'serve');
    for (const arg of args.slice(1).filter((one) => one.startsWith('--'))) assert.ok(known.has(arg.split('=')[0]), `${arg} is no option`);
  }
  const { terminationGracePeriodSeconds, containers: [{ args }] } = find('Deployment').spec.template.spec;
  const seconds = (option) => Number(args.find((arg) => arg.startsWith(`${option}=`)).split('=')[1]);
  assert.ok(terminationGracePeriodSeconds > seconds('--drain-delay') + seconds('--drain-timeout'));
});

test('containers have no more rights than they need', () => {
  for (const { securityContext } of [find('Deployment').spec.template.spec.containers[0], find('ClusterServingRuntime').spec.containers[0]]) {
    assert.equal(securityContext.readOnlyRootFilesystem, true);
    assert.equal(securityContext.allowPrivilegeEscalation, false);
    assert.deepEqual(securityContext.capabilities, { drop: ['ALL'] });
  }
});

test('the Dockerfile is one', async () => {
  const { validate } = require('dockerfile-utils');
  const text = readFileSync(join(kDeploy, 'Dockerfile'), 'utf8');
  const problems = (source) => validate(source, { deprecatedMaintainer: 2, instructionCasing: 2, instructionCmdMultiple: 2, instructionEntrypointMultiple: 2, instructionHealthcheckMultiple: 2, instructionWorkdirRelative: 2 })
    .map(({ range, message }) => `${range.start.line + 1}: ${message}`);
  assert.deepEqual(problems(text), []);
  assert.notDeepEqual(problems(text.replace('USER ', 'USR ')), []);
  assert.match(text, /^USER (?!0|root)/m);
  assert.match(text, /^HEALTHCHECK /m);
});
