package transport

import (
	"tutti/client"
	"tutti/server/api"
)

var waitReasons = map[api.WaitReason]client.WaitReason{
	api.WaitReason_WAIT_REASON_NO_ROUND:        client.WaitNoRound,
	api.WaitReason_WAIT_REASON_ROUND_FULL:      client.WaitRoundFull,
	api.WaitReason_WAIT_REASON_ALREADY_COUNTED: client.WaitAlreadyCounted,
	api.WaitReason_WAIT_REASON_PROTOCOL:        client.WaitProtocol,
	api.WaitReason_WAIT_REASON_TASK_FINISHED:   client.WaitTaskFinished,
	api.WaitReason_WAIT_REASON_SERVER_OLD:      client.WaitServerOld,
	api.WaitReason_WAIT_REASON_SUITE:           client.WaitSuite,
	api.WaitReason_WAIT_REASON_MODEL_FORMAT:    client.WaitModelFormat,
	api.WaitReason_WAIT_REASON_RESTING:         client.WaitResting,
}

var uploadStates = map[api.UploadState]client.UploadState{
	api.UploadState_UPLOAD_STATE_STAGED:    client.UploadStaged,
	api.UploadState_UPLOAD_STATE_COUNTED:   client.UploadCounted,
	api.UploadState_UPLOAD_STATE_LATE:      client.UploadLate,
	api.UploadState_UPLOAD_STATE_REJECTED:  client.UploadRejected,
	api.UploadState_UPLOAD_STATE_ABANDONED: client.UploadAbandoned,
	api.UploadState_UPLOAD_STATE_UNKNOWN:   client.UploadUnknown,
}

var rejectReasons = map[api.RejectReason]client.RejectReason{
	api.RejectReason_REJECT_REASON_NO_SUCH_ROUND: client.RejectNoSuchRound,
	api.RejectReason_REJECT_REASON_ROUND_CLOSED:  client.RejectRoundClosed,
	api.RejectReason_REJECT_REASON_ROUND_FULL:    client.RejectRoundFull,
	api.RejectReason_REJECT_REASON_CONFLICT:      client.RejectConflict,
	api.RejectReason_REJECT_REASON_HEADER:        client.RejectHeader,
	api.RejectReason_REJECT_REASON_NOT_ENROLLED:  client.RejectNotEnrolled,
	api.RejectReason_REJECT_REASON_WRONG_CONFIG:  client.RejectWrongConfig,
	api.RejectReason_REJECT_REASON_VECTOR:        client.RejectVector,
	api.RejectReason_REJECT_REASON_COMMITTEE:     client.RejectCommittee,
	api.RejectReason_REJECT_REASON_SPENT:         client.RejectSpent,
	api.RejectReason_REJECT_REASON_SHARING:       client.RejectSharing,
	api.RejectReason_REJECT_REASON_NOT_ELIGIBLE:  client.RejectNotEligible,
	api.RejectReason_REJECT_REASON_NORM:          client.RejectNorm,
}

// What a newer server says and this program does not know is "unspecified",
// the zero value of each enum.
func waitReason(r api.WaitReason) client.WaitReason       { return waitReasons[r] }
func uploadState(s api.UploadState) client.UploadState    { return uploadStates[s] }
func rejectReason(r api.RejectReason) client.RejectReason { return rejectReasons[r] }
