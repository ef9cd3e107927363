// The gRPC statuses that etcd's services answer with. Clients compare the texts, so code and text are
// interface and must not change. One frozen constant each; `toStatusError` makes the error to throw.

import { Status, type StatusCode, StatusError } from "../base/status.ts";

/** A status that etcd's clients know by its text. */
export interface EtcdError {
  readonly code: StatusCode;
  readonly message: string;
}

export const EtcdErrors = Object.freeze({
  emptyKey: etcdError(Status.INVALID_ARGUMENT, "etcdserver: key is not provided"),
  keyNotFound: etcdError(Status.INVALID_ARGUMENT, "etcdserver: key not found"),
  valueProvided: etcdError(Status.INVALID_ARGUMENT, "etcdserver: value is provided"),
  leaseProvided: etcdError(Status.INVALID_ARGUMENT, "etcdserver: lease is provided"),
  tooManyOperations: etcdError(
    Status.INVALID_ARGUMENT,
    "etcdserver: too many operations in txn request",
  ),
  duplicateKey: etcdError(
    Status.INVALID_ARGUMENT,
    "etcdserver: duplicate key given in txn request",
  ),
  invalidClientApiVersion: etcdError(
    Status.INVALID_ARGUMENT,
    "etcdserver: invalid client api version",
  ),
  invalidSortOption: etcdError(Status.INVALID_ARGUMENT, "etcdserver: invalid sort option"),
  compacted: etcdError(
    Status.OUT_OF_RANGE,
    "etcdserver: mvcc: required revision has been compacted",
  ),
  futureRevision: etcdError(
    Status.OUT_OF_RANGE,
    "etcdserver: mvcc: required revision is a future revision",
  ),
  noSpace: etcdError(Status.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
  leaseNotFound: etcdError(Status.NOT_FOUND, "etcdserver: requested lease not found"),
  leaseExists: etcdError(Status.FAILED_PRECONDITION, "etcdserver: lease already exists"),
  leaseTTLTooLarge: etcdError(Status.OUT_OF_RANGE, "etcdserver: too large lease TTL"),
  watchCanceled: etcdError(Status.CANCELLED, "etcdserver: watch canceled"),
  memberExists: etcdError(Status.FAILED_PRECONDITION, "etcdserver: member ID already exist"),
  peerUrlExists: etcdError(Status.FAILED_PRECONDITION, "etcdserver: Peer URLs already exists"),
  notEnoughStartedMembers: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: re-configuration failed due to not enough started members",
  ),
  memberBadUrls: etcdError(Status.INVALID_ARGUMENT, "etcdserver: given member URLs are invalid"),
  memberNotFound: etcdError(Status.NOT_FOUND, "etcdserver: member not found"),
  memberNotLearner: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: can only promote a learner member",
  ),
  learnerNotReady: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: can only promote a learner member which is in sync with leader",
  ),
  tooManyLearners: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: too many learner members in cluster",
  ),
  clusterIdMismatch: etcdError(Status.FAILED_PRECONDITION, "etcdserver: cluster ID mismatch"),
  requestTooLarge: etcdError(Status.INVALID_ARGUMENT, "etcdserver: request is too large"),
  tooManyRequests: etcdError(Status.RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
  rootUserNotFound: etcdError(Status.FAILED_PRECONDITION, "etcdserver: root user does not exist"),
  rootRoleNotFound: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: root user does not have root role",
  ),
  userExists: etcdError(Status.FAILED_PRECONDITION, "etcdserver: user name already exists"),
  userEmpty: etcdError(Status.INVALID_ARGUMENT, "etcdserver: user name is empty"),
  userNotFound: etcdError(Status.FAILED_PRECONDITION, "etcdserver: user name not found"),
  roleExists: etcdError(Status.FAILED_PRECONDITION, "etcdserver: role name already exists"),
  roleNotFound: etcdError(Status.FAILED_PRECONDITION, "etcdserver: role name not found"),
  roleEmpty: etcdError(Status.INVALID_ARGUMENT, "etcdserver: role name is empty"),
  authFailed: etcdError(
    Status.INVALID_ARGUMENT,
    "etcdserver: authentication failed, invalid user ID or password",
  ),
  permissionNotGiven: etcdError(Status.INVALID_ARGUMENT, "etcdserver: permission not given"),
  permissionDenied: etcdError(Status.PERMISSION_DENIED, "etcdserver: permission denied"),
  roleNotGranted: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: role is not granted to the user",
  ),
  permissionNotGranted: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: permission is not granted to the role",
  ),
  authNotEnabled: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: authentication is not enabled",
  ),
  invalidAuthToken: etcdError(Status.UNAUTHENTICATED, "etcdserver: invalid auth token"),
  invalidAuthMgmt: etcdError(Status.INVALID_ARGUMENT, "etcdserver: invalid auth management"),
  authOldRevision: etcdError(Status.INVALID_ARGUMENT, "etcdserver: revision of auth store is old"),
  noLeader: etcdError(Status.UNAVAILABLE, "etcdserver: no leader"),
  notLeader: etcdError(Status.FAILED_PRECONDITION, "etcdserver: not leader"),
  leaderChanged: etcdError(Status.UNAVAILABLE, "etcdserver: leader changed"),
  notCapable: etcdError(Status.FAILED_PRECONDITION, "etcdserver: not capable"),
  stopped: etcdError(Status.UNAVAILABLE, "etcdserver: server stopped"),
  timeout: etcdError(Status.UNAVAILABLE, "etcdserver: request timed out"),
  timeoutDueToLeaderFail: etcdError(
    Status.UNAVAILABLE,
    "etcdserver: request timed out, possibly due to previous leader failure",
  ),
  timeoutDueToConnectionLost: etcdError(
    Status.UNAVAILABLE,
    "etcdserver: request timed out, possibly due to connection lost",
  ),
  timeoutWaitAppliedIndex: etcdError(
    Status.UNAVAILABLE,
    "etcdserver: request timed out, waiting for the applied index took too long",
  ),
  unhealthy: etcdError(Status.UNAVAILABLE, "etcdserver: unhealthy cluster"),
  corrupt: etcdError(Status.DATA_LOSS, "etcdserver: corrupt cluster"),
  notSupportedForLearner: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: rpc not supported for learner",
  ),
  badLeaderTransferee: etcdError(Status.FAILED_PRECONDITION, "etcdserver: bad leader transferee"),
  wrongDowngradeVersionFormat: etcdError(
    Status.INVALID_ARGUMENT,
    "etcdserver: wrong downgrade target version format",
  ),
  invalidDowngradeTargetVersion: etcdError(
    Status.INVALID_ARGUMENT,
    "etcdserver: invalid downgrade target version",
  ),
  clusterVersionUnavailable: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: cluster version not found during downgrade",
  ),
  downgradeInProcess: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: cluster has a downgrade job in progress",
  ),
  noInflightDowngrade: etcdError(
    Status.FAILED_PRECONDITION,
    "etcdserver: no inflight downgrade job",
  ),
  canceled: etcdError(Status.CANCELLED, "etcdserver: request canceled"),
  deadlineExceeded: etcdError(Status.DEADLINE_EXCEEDED, "etcdserver: context deadline exceeded"),
});

export type EtcdErrorName = keyof typeof EtcdErrors;

/** The error to throw for one of `EtcdErrors`. */
export function toStatusError(error: EtcdError, options?: ErrorOptions): StatusError {
  return new StatusError(error.code, error.message, options);
}

/** The known status with this text, or undefined. For clients, which tell errors apart by text as etcd's do. */
export function findEtcdError(message: string): EtcdError | undefined {
  return byMessage.get(message);
}

function etcdError(code: StatusCode, message: string): EtcdError {
  return Object.freeze({ code, message });
}

const byMessage: ReadonlyMap<string, EtcdError> = new Map(
  Object.values(EtcdErrors).map((error) => [error.message, error]),
);
