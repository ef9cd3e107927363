// Request bodies for h2load: a gRPC message (5-byte prefix and protobuf) written to a file. The few fields
// needed are encoded here by hand, so that the load does not depend on the code that it measures.

export const benchKey = "bench-key";
const value = Buffer.alloc(256, "v");

function varint(number) {
  const bytes = [];
  let rest = number;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

function bytesField(field, content) {
  const body = Buffer.from(content);
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);
}

function numberField(field, number) {
  return Buffer.concat([varint(field << 3), varint(number)]);
}

function grpcMessage(message) {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

const put = (key) => Buffer.concat([bytesField(1, key), bytesField(2, value)]);

export const requests = {
  put: { path: "/etcdserverpb.KV/Put", body: grpcMessage(put(benchKey)) },
  linearizableRange: { path: "/etcdserverpb.KV/Range", body: grpcMessage(bytesField(1, benchKey)) },
  serializableRange: {
    path: "/etcdserverpb.KV/Range",
    body: grpcMessage(Buffer.concat([bytesField(1, benchKey), numberField(7, 1)])),
  },
  txnOfFourPuts: {
    path: "/etcdserverpb.KV/Txn",
    body: grpcMessage(
      // success = 2, repeated RequestOp { request_put = 2 }
      Buffer.concat([1, 2, 3, 4].map((n) => bytesField(2, bytesField(2, put(`${benchKey}-${n}`))))),
    ),
  },
};
