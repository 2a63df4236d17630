// Colours of boxes: by time, or by what an operator does.
const kFamilies = [
  ['convolution, matrix product', /^(Conv|ConvTranspose|ConvInteger|QLinearConv|DeformConv|MatMul.*|QLinearMatMul|Gemm|Einsum|LSTM|GRU|RNN|.*Attention)$/, '#cfe0fb', '#27436e'],
  ['activation', /^(.*Relu|PRelu|Sigmoid|Tanh|.*Swish|HardSigmoid|Elu|Selu|Celu|Gelu|Mish|Clip|Softplus|Softsign|Softmax|LogSoftmax|Erf)$/, '#cfeedd', '#1f5138'],
  ['normalization', /Normalization$|^(LRN|LpNormalization)$/, '#d4eef2', '#1c4d57'],
  ['pooling, reduction, resizing', /Pool$|^(Reduce.*|ArgMax|ArgMin|TopK|Resize|Upsample|GridSample|RoiAlign|NonMaxSuppression)$/, '#e4dafa', '#463070'],
  ['arithmetic', /^(Add|Sub|Mul|Div|Pow|Sqrt|Exp|Log|Abs|Neg|Min|Max|Sum|Mean|Where|Equal|Less.*|Greater.*|And|Or|Not|Mod|Cast|Floor|Ceil|Round)$/, '#fbe9c6', '#5a4514'],
  ['shape and order', /^(Reshape|Transpose|Concat|Split|Slice|Gather.*|Squeeze|Unsqueeze|Flatten|Shape|Expand|Tile|Pad|DepthToSpace|SpaceToDepth|Identity|Scatter.*|Constant.*)$/, '#e3e6ea', '#3a424d'],
  ['input, output', /^(Input|Output)$/, '#c9ced6', '#4b5563'],
];
const kOther = ['other', null, '#f6d9e4', '#5a2a3f'];

export function families() { return [...kFamilies, kOther]; }

export function kindColour(node, dark) {
  const family = kFamilies.find(([, pattern]) => pattern.test(node.op)) ?? kOther;
  return family[dark ? 3 : 2];
}

// `share` of the slowest step, in [0, 1]: from the colour of a plain box to the hot one.
export function timeShade(share, plain, hot) {
  const t = Math.sqrt(share) * 0.85;
  const mix = (i) => Math.round(channel(plain, i) * (1 - t) + channel(hot, i) * t);
  return `rgb(${mix(0)}, ${mix(1)}, ${mix(2)})`;
}

function channel(hex, i) { return parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16); }
