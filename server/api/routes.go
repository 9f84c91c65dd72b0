package api

import (
	"net/http"

	"github.com/wardmdm/ward/server/access"
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	remove = http.MethodDelete
)

// routes adds every operation, each with the permission that it takes.
func (s *server) routes() {
	s.deviceRoutes()
	s.caseRoutes()
	s.orderRoutes()
	s.fileRoutes()
	s.evidenceRoutes()
	s.policyRoutes()
	s.peopleRoutes()
	s.sessionRoutes()
	s.systemRoutes()
	s.authorityRoutes()
}

func (s *server) deviceRoutes() {
	handle(s, operation{method: get, path: "/devices", permission: access.DeviceRead, id: "list-devices", summary: "List devices with state and reason"}, s.listDevices)
	handle(s, operation{method: get, path: "/devices/{id}", permission: access.DeviceRead, id: "show-device", summary: "Show everything about a device"}, s.showDevice)
	handle(s, operation{method: get, path: "/devices/{id}/posture", permission: access.DeviceRead, id: "device-posture", summary: "List the changes of a device's posture, the newest first"}, s.devicePosture)
	handle(s, operation{method: get, path: "/devices/{id}/policy", permission: access.DeviceRead, id: "explain-device", summary: "Say what the policy comes to on a device, and where each setting came from"}, s.explainDevice)
	handle(s, operation{method: post, path: "/devices/{id}/refresh", permission: access.DeviceRefresh, id: "refresh-device", summary: "Ask a device for news"}, s.refreshDevice)
	handle(s, operation{method: post, path: "/devices/{id}/release", permission: access.DeviceWrite, id: "release-device", summary: "Let a device enrol anew although an enrolment of it lives"}, s.releaseDevice)
	handle(s, operation{method: put, path: "/devices/{id}/group", permission: access.DeviceWrite, id: "move-device", summary: "Put a device into another group"}, s.moveDevice)
	handle(s, operation{method: post, path: "/devices/{id}/lock", permission: access.DeviceLock, id: "lock-device", summary: "Lock a device once", status: http.StatusAccepted}, s.lockDevice)
	handle(s, operation{method: post, path: "/devices/{id}/lost", permission: access.DeviceLost, id: "report-device", summary: "Report a device lost or stolen", status: http.StatusCreated}, s.reportDevice)
	handle(s, operation{method: post, path: "/devices/{id}/found", permission: access.DeviceLost, id: "find-device", summary: "Report a lost device found"}, s.findDevice)
	handle(s, operation{method: post, path: "/devices/{id}/wipe", permission: access.OrderRequest, id: "wipe-device", summary: "Ask for an erase, which two people sign", status: http.StatusAccepted}, s.wipeDevice)
	handle(s, operation{method: post, path: "/devices/{id}/restart", permission: access.DeviceLock, id: "restart-device", summary: "Restart a device once", status: http.StatusAccepted}, s.restartDevice)
	handle(s, operation{method: post, path: "/devices/{id}/recovery-code", permission: access.DeviceLost, id: "make-recovery-code", summary: "Make the code with which the holder of a device reports it lost", status: http.StatusCreated}, s.makeRecoveryCode)
	handle(s, operation{method: get, path: "/devices/{id}/pin", permission: access.PINRead, id: "device-pin", summary: "See the PINs that a Mac was locked or erased with; each look is audited"}, s.devicePIN)
	handle(s, operation{method: get, path: "/devices/{id}/commands", permission: access.CommandRead, id: "list-commands", summary: "List the commands of a device, the newest first"}, s.listCommands)
	handle(s, operation{method: remove, path: "/devices/{id}/commands/{uuid}", permission: access.CommandCancel, id: "cancel-command", summary: "Take a command off the queue"}, s.cancelCommand)

	handle(s, operation{method: get, path: "/invitations", permission: access.InviteRead, id: "list-invitations", summary: "List invitations, the newest first"}, s.listInvitations)
	handle(s, operation{method: post, path: "/invitations", permission: access.InviteCreate, id: "invite", summary: "Invite a device to enrol", status: http.StatusCreated}, s.invite)
	handle(s, operation{method: post, path: "/invitations/csv", permission: access.InviteCreate, id: "invite-staff", summary: "Invite a table of staff", status: http.StatusCreated, maxBody: maxTable}, s.inviteStaff)
	handle(s, operation{method: get, path: "/invitations/{id}", permission: access.InviteRead, id: "show-invitation", summary: "Show an invitation"}, s.showInvitation)
	handle(s, operation{method: remove, path: "/invitations/{id}", permission: access.InviteCreate, id: "revoke-invitation", summary: "Take an invitation back"}, s.revokeInvitation)
}

func (s *server) caseRoutes() {
	handle(s, operation{method: get, path: "/cases", permission: access.DeviceRead, id: "list-cases", summary: "List cases of lost devices, the newest first"}, s.listCases)
	handle(s, operation{method: post, path: "/cases", permission: access.DeviceLost, id: "report-devices", summary: "Report several devices lost or stolen", status: http.StatusCreated, partly: true}, s.reportDevices)
	handle(s, operation{method: get, path: "/cases/{id}", permission: access.DeviceRead, id: "show-case", summary: "Show a case with its timeline"}, s.showCase)
	handle(s, operation{method: get, path: "/cases/{id}/location", permission: access.LocationRead, id: "see-location", summary: "See where a lost device was last; each look is audited"}, s.location)
	handle(s, operation{method: post, path: "/cases/{id}/found", permission: access.DeviceLost, id: "find-case", summary: "Report the device of a case found"}, s.findCase)
	handle(s, operation{method: post, path: "/cases/{id}/close", permission: access.DeviceLost, id: "close-case", summary: "Put a case away"}, s.closeCase)
	handle(s, operation{method: post, path: "/cases/{id}/sound", permission: access.DeviceLost, id: "sound", summary: "Have a lost device play a sound", status: http.StatusAccepted}, s.soundCase)
	// Who may not see where a device is has no purpose to ask it.
	handle(s, operation{method: post, path: "/cases/{id}/locate", permission: access.LocationRead, id: "locate", summary: "Ask a lost device where it is, once", status: http.StatusAccepted}, s.askLocation)
	handle(s, operation{method: get, path: "/cases/{id}/pin", permission: access.PINRead, id: "case-pin", summary: "See the PINs of the Mac of a case; each look is audited"}, s.casePIN)
	handle(s, operation{method: get, path: "/cases/{id}/assessment", permission: access.DeviceRead, id: "assess", summary: "Say what a loss put at risk, and what was decided on it"}, s.assessCase)
	handle(s, operation{method: post, path: "/cases/{id}/decisions", permission: access.CaseDecide, id: "decide", summary: "Decide whether a loss is reported to the Information Commissioner", status: http.StatusCreated}, s.decideCase)
	handle(s, operation{method: put, path: "/cases/{id}/aware", permission: access.CaseDecide, id: "set-aware", summary: "Set, once, when the organisation became aware of a loss"}, s.setAware)
	handle(s, operation{method: get, path: "/drills", permission: access.DeviceRead, id: "list-drills", summary: "List rehearsals, the newest first, and when the next is due"}, s.listDrills)
}

// orderRoutes: cancelling takes the permission to ask, for people take back what they
// asked for; that others' orders are an administrator's to cancel is a rule of package
// order.
func (s *server) orderRoutes() {
	handle(s, operation{method: get, path: "/orders", permission: access.OrderRead, id: "list-orders", summary: "List orders, the newest first"}, s.listOrders)
	handle(s, operation{method: post, path: "/orders", permission: access.OrderRequest, id: "request-order", summary: "Ask for an order, which two people sign in a browser", status: http.StatusAccepted}, s.requestOrder)
	handle(s, operation{method: get, path: "/orders/{id}", permission: access.OrderRead, id: "show-order", summary: "Show an order and what became of it"}, s.showOrder)
	handle(s, operation{method: post, path: "/orders/{id}/refuse", permission: access.OrderRefuse, id: "refuse-order", summary: "Refuse an order"}, s.refuseOrder)
	handle(s, operation{method: post, path: "/orders/{id}/cancel", permission: access.OrderRequest, id: "cancel-order", summary: "Take an order back"}, s.cancelOrder)
	handle(s, operation{method: post, path: "/orders/cancel-all", permission: access.OrderCancelAll, id: "cancel-all", summary: "Take back every order that is not carried out, and every destructive command that no device holds"}, s.cancelAll)
	handle(s, operation{method: post, path: "/orders/{id}/break-glass", permission: access.OrderRequest, id: "break-glass", summary: "Have the sealed key stand for the two signatures, for one device; everyone is told"}, s.breakGlass)
	// Who may approve does it elsewhere; the address stays, to say where.
	handle(s, operation{method: post, path: "/orders/{id}/approve", permission: access.OrderRead, id: "approve-order", summary: "Say where an order is approved", hidden: true}, s.approveOrder)

	handle(s, operation{method: get, path: "/brake", permission: access.OrderRead, id: "show-brake", summary: "Say how full the brake's windows are, and what it holds"}, s.showBrake)
	handle(s, operation{method: get, path: "/approvers", permission: access.ApproverRead, id: "list-approvers", summary: "List who may approve orders, and who registered to"}, s.listApprovers)
	handle(s, operation{method: post, path: "/approvers/invitations", permission: access.ApproverInvite, id: "invite-approver", summary: "Invite a person to register a passkey, to become an approver", status: http.StatusCreated}, s.inviteApprover)
}

// policyRoutes: whoever may publish may approve what another person proposed; that it
// is another person is a rule of package policy.
func (s *server) policyRoutes() {
	handle(s, operation{method: get, path: "/policy", permission: access.PolicyRead, id: "show-policy", summary: "Show the policy in force"}, s.showPolicy)
	handle(s, operation{method: put, path: "/policy", permission: access.PolicyPublish, id: "publish-policy", summary: "Publish a policy, or propose it where the change needs a second person", maxBody: maxPolicy}, s.publishPolicy)
	handle(s, operation{method: post, path: "/policy/validate", permission: access.PolicyRead, id: "validate-policy", summary: "Say what a policy would come to, without publishing it", maxBody: maxPolicy}, s.validatePolicy)
	handle(s, operation{method: post, path: "/policy/plan", permission: access.PolicyRead, id: "plan-policy", summary: "Say what publishing a policy would change on the enrolled devices", maxBody: maxPolicy}, s.planPolicy)
	s.alsoJSON(put, "/policy")
	s.alsoJSON(post, "/policy/validate")
	s.alsoJSON(post, "/policy/plan")
	handle(s, operation{method: get, path: "/policy/versions", permission: access.PolicyRead, id: "list-policies", summary: "List the versions of the policy, the newest first"}, s.listVersions)
	handle(s, operation{method: get, path: "/policy/versions/{generation}", permission: access.PolicyRead, id: "show-version", summary: "Show a version of the policy"}, s.showVersion)
	handle(s, operation{method: get, path: "/policy/versions/{generation}/diff", permission: access.PolicyRead, id: "diff-policy", summary: "Say what a version changes"}, s.diffPolicy)
	handle(s, operation{method: post, path: "/policy/versions/{generation}/approve", permission: access.PolicyPublish, id: "approve-policy", summary: "Approve what another person proposed"}, s.approvePolicy)
	handle(s, operation{method: post, path: "/policy/versions/{generation}/withdraw", permission: access.PolicyPublish, id: "withdraw-policy", summary: "Take a proposal back"}, s.withdrawPolicy)
	handle(s, operation{method: get, path: "/policy/rollout", permission: access.PolicyRead, id: "show-rollout", summary: "Say how far the rollout of a version is"}, s.showRollout)
	handle(s, operation{method: post, path: "/policy/rollout/stop", permission: access.PolicyPublish, id: "stop-rollout", summary: "Open no further ring"}, s.stopRollout)
	handle(s, operation{method: post, path: "/policy/rollout/resume", permission: access.PolicyPublish, id: "resume-rollout", summary: "Let a stopped rollout go on"}, s.resumeRollout)
	handle(s, operation{method: post, path: "/policy/rollback", permission: access.PolicyPublish, id: "roll-back", summary: "Publish an earlier version again, for every device at once"}, s.rollBack)
	handle(s, operation{method: get, path: "/policy/drift", permission: access.DeviceRead, id: "list-drift", summary: "List what was found otherwise than the policy wants, the newest first"}, s.listDrift)
	handle(s, operation{method: get, path: "/policy/drift/counts", permission: access.DeviceRead, id: "count-drift", summary: "Count what was found otherwise than the policy wants"}, s.countDrift)
}

func (s *server) peopleRoutes() {
	handle(s, operation{method: get, path: "/me", permission: signedIn, id: "me", summary: "Say who asks and what they may do"}, s.me)
	handle(s, operation{method: get, path: "/people", permission: access.PersonRead, id: "list-people", summary: "List the people who use Ward"}, s.listPeople)
	handle(s, operation{method: post, path: "/people", permission: access.PersonWrite, id: "add-person", summary: "Add a person", status: http.StatusCreated}, s.addPerson)
	handle(s, operation{method: get, path: "/people/{id}", permission: access.PersonRead, id: "show-person", summary: "Show a person"}, s.showPerson)
	handle(s, operation{method: put, path: "/people/{id}/roles", permission: access.PersonWrite, id: "set-roles", summary: "Replace the roles of a person"}, s.setRoles)
	handle(s, operation{method: post, path: "/people/{id}/disable", permission: access.PersonWrite, id: "disable-person", summary: "Take every right from a person at once"}, s.disablePerson)
	handle(s, operation{method: post, path: "/people/{id}/enable", permission: access.PersonWrite, id: "enable-person", summary: "Let a disabled person act again"}, s.enablePerson)
	handle(s, operation{method: put, path: "/people/{id}/scope", permission: access.PersonWrite, id: "set-scope", summary: "Bound a person to sites and groups, or to nothing any more"}, s.setScope)
	handle(s, operation{method: post, path: "/people/{id}/erase", permission: access.PersonErase, id: "erase-person", summary: "Erase what is known of a person who uses Ward, for good"}, s.erasePerson)
	handle(s, operation{method: get, path: "/roles", permission: access.PersonRead, id: "list-roles", summary: "List roles and permissions"}, s.listRoles)
	handle(s, operation{method: post, path: "/roles", permission: access.RoleWrite, id: "make-role", summary: "Make a role", status: http.StatusCreated}, s.makeRole)
	handle(s, operation{method: get, path: "/roles/{id}", permission: access.PersonRead, id: "show-role", summary: "Show a role"}, s.showRole)
	handle(s, operation{method: put, path: "/roles/{id}", permission: access.RoleWrite, id: "change-role", summary: "Replace what a role that somebody made is called and may do"}, s.changeRole)
	handle(s, operation{method: remove, path: "/roles/{id}", permission: access.RoleWrite, id: "remove-role", summary: "Remove a role that somebody made and nobody holds"}, s.removeRole)
	// Whom a link or a token may be made for is a rule of package access.
	handle(s, operation{method: post, path: "/people/{id}/link", permission: signedIn, id: "make-link", summary: "Make a one-time link to sign in with", status: http.StatusCreated}, s.makeLink)
	handle(s, operation{method: get, path: "/people/{id}/tokens", permission: signedIn, id: "list-tokens", summary: "List the tokens of a person"}, s.listTokens)
	handle(s, operation{method: post, path: "/people/{id}/tokens", permission: signedIn, id: "make-token", summary: "Make a token for oneself", status: http.StatusCreated}, s.makeToken)
	handle(s, operation{method: remove, path: "/tokens/{id}", permission: signedIn, id: "revoke-token", summary: "End a token at once"}, s.revokeToken)
}

func (s *server) systemRoutes() {
	handle(s, operation{method: get, path: "/notifications", permission: access.NotifyRead, id: "list-notifications", summary: "List what the people on call were told, the newest first"}, s.listNotifications)
	handle(s, operation{method: post, path: "/notifications/test", permission: access.NotifyWrite, id: "test-notifications", summary: "Tell everyone on call, and every webhook, that this is a test"}, s.testNotifications)
	handle(s, operation{method: post, path: "/notifications/{id}/replay", permission: access.NotifyWrite, id: "replay-notification", summary: "Send a message again"}, s.replayNotification)

	handle(s, operation{method: get, path: "/health", permission: access.HealthRead, id: "show-health", summary: "Say what is wrong with the server, or soon will be"}, s.showHealth)

	handle(s, operation{method: get, path: "/audit", permission: access.AuditRead, id: "list-audit", summary: "List the audit log, the newest first"}, s.listAudit)
	handle(s, operation{method: get, path: "/audit/checkpoint", permission: access.AuditRead, id: "audit-checkpoint", summary: "Get the latest signed checkpoint, to be kept elsewhere", produces: plain}, s.auditCheckpoint)
	handle(s, operation{method: get, path: "/audit/export", permission: access.AuditExport, id: "export-audit", summary: "Export the log up to the latest checkpoint as JSON lines", produces: jsonLines}, s.exportAudit)
	handle(s, operation{method: get, path: "/audit/key", permission: access.AuditRead, id: "audit-key", summary: "Get the public key that checkpoints are verified with", produces: plain}, s.auditKey)

	handle(s, operation{method: put, path: "/enqueue/{ids}", permission: access.CommandEnqueue, id: "enqueue", summary: "Queue a raw command of a harmless type", partly: true}, s.enqueue)
	handle(s, operation{method: get, path: "/apns", permission: access.APNsRead, id: "show-apns", summary: "Show the push certificates"}, s.showAPNs)
	handle(s, operation{method: post, path: "/apns/request", permission: access.APNsWrite, id: "request-apns", summary: "Make a key and a request for a push certificate", status: http.StatusCreated}, s.requestAPNs)
	handle(s, operation{method: post, path: "/apns/import", permission: access.APNsWrite, id: "import-apns", summary: "Import a push certificate"}, s.importAPNs)
	handle(s, operation{method: get, path: "/backup", permission: access.BackupWrite, id: "backup", summary: "Get a backup of the whole record", produces: archive}, s.backup)
}

func (s *server) authorityRoutes() {
	handle(s, operation{method: get, path: "/ca", permission: access.CARead, id: "show-authority", summary: "Show the authority: what ends when, how many certificates, the revocation lists"}, s.showAuthority)
	handle(s, operation{method: get, path: "/ca/certificates", permission: access.CARead, id: "list-certificates", summary: "List certificates, the newest first"}, s.listCertificates)
	handle(s, operation{method: post, path: "/ca/certificates/{serial}/revoke", permission: access.CAWrite, id: "revoke-certificate", summary: "Revoke a certificate for good"}, s.revokeCertificate)
	handle(s, operation{method: post, path: "/ca/crl", permission: access.CAWrite, id: "remake-lists", summary: "Make the revocation lists anew"}, s.remakeLists)
	handle(s, operation{method: get, path: "/ca/crl/{issuer}", permission: access.CARead, id: "get-list", summary: "Get the newest revocation list of an issuer", produces: revocationList}, s.getList)
}
