/**
 * Files of models: safetensors and GGUF read lazily through a byte source, so that a browser can use it, and
 * safetensors written atomically.
 *
 * @module
 */
export {
  blobSource,
  type ByteSource,
  checkRange,
  type FileSet,
  memoryFiles,
  memorySource,
  readText,
} from "./byte_source.ts";
export { openCheckpoint } from "./checkpoint.ts";
export { openDirectory, openFileSource } from "./file_source.ts";
export { readGgufQuantized } from "./gguf_quantized.ts";
export { type GgufReader, openGguf } from "./gguf_reader.ts";
export {
  GGUF_TYPES,
  type GgufBlock,
  type GgufTensorInfo,
  type GgufType,
  type GgufValue,
} from "./gguf_types.ts";
export { requireEmptyDirectory, writeDirectory, writeSmallFile } from "./output_directory.ts";
export { openSafetensors } from "./safetensors_reader.ts";
export {
  encodeSafetensors,
  type SafetensorsWriteOptions,
  type TensorData,
  type TensorToWrite,
  writeSafetensors,
} from "./safetensors_writer.ts";
export {
  elementCount,
  TENSOR_TYPE_BYTES,
  type TensorInfo,
  tensorInfo,
  type TensorReader,
  type TensorType,
} from "./tensor.ts";
export {
  type QuikCheckpointConfig,
  type QuikModule,
  quikTensors,
  readQuikConfig,
  readQuikLayer,
  type StoredQuikLayer,
} from "./quik_checkpoint.ts";
export { readStoredLinear, type StoredLinear } from "./stored_linear.ts";
