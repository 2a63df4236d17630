// The part of KServe's resources that tools/deploy may use, from pkg/apis/serving of KServe 0.15: no package has their
// schemas. What is inside of containers, volumes and so on is Kubernetes' own.
import type { IObjectMeta } from '@kubernetes-models/apimachinery/apis/meta/v1/ObjectMeta';
import type { IAffinity } from 'kubernetes-models/v1/Affinity';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { ILocalObjectReference } from 'kubernetes-models/v1/LocalObjectReference';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IToleration } from 'kubernetes-models/v1/Toleration';
import type { IVolume } from 'kubernetes-models/v1/Volume';

type Protocol = 'v1' | 'v2' | 'grpc-v1' | 'grpc-v2';

interface ISupportedModelFormat {
  name: string;
  version?: string;
  autoSelect?: boolean;
  priority?: number;
}

export interface IClusterServingRuntime {
  apiVersion: 'serving.kserve.io/v1alpha1';
  kind: 'ClusterServingRuntime';
  metadata: IObjectMeta;
  spec: {
    supportedModelFormats?: ISupportedModelFormat[];
    multiModel?: boolean;
    disabled?: boolean;
    protocolVersions?: Protocol[];
    containers: IContainer[];
    volumes?: IVolume[];
    nodeSelector?: Record<string, string>;
    affinity?: IAffinity;
    tolerations?: IToleration[];
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    imagePullSecrets?: ILocalObjectReference[];
  };
}

interface IModelSpec extends Partial<IContainer> {
  modelFormat: { name: string; version?: string };
  runtime?: string;
  runtimeVersion?: string;
  protocolVersion?: Protocol;
  storageUri?: string;
}

export interface IInferenceService {
  apiVersion: 'serving.kserve.io/v1beta1';
  kind: 'InferenceService';
  metadata: IObjectMeta;
  spec: {
    predictor: Partial<IPodSpec> & {
      minReplicas?: number;
      maxReplicas?: number;
      scaleTarget?: number;
      scaleMetric?: 'cpu' | 'memory' | 'concurrency' | 'rps';
      containerConcurrency?: number;
      timeout?: number;
      canaryTrafficPercent?: number;
      labels?: Record<string, string>;
      annotations?: Record<string, string>;
      model?: IModelSpec;
    };
  };
}
