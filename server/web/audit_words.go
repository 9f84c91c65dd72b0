package web

import (
	"maps"
	"strings"
)

// deedWords says in words what an action of the audit log is. {it} stands for what it was done
// to, {key} for a detail of that name.
type deedWords struct {
	area string // of the choices of actions
	says string
}

// Areas of the audit log.
const (
	areaDevices   = "Devices"
	areaLost      = "Lost devices"
	areaOrders    = "Orders and the brake"
	areaPolicy    = "Policy"
	areaPeople    = "People"
	areaServer    = "Server"
	areaCerts     = "Certificates"
	areaEnrolment = "Enrolment"
)

// deedsInWords has every action that stands in the audit log.
var deedsInWords = map[string]deedWords{
	"invitation.created":           {areaEnrolment, "Invited a device to enrol"},
	"invitation.revoked":           {areaEnrolment, "Revoked an invitation"},
	"enrolment.refused":            {areaEnrolment, "Refused an enrolment"},
	"device.enrolled":              {areaEnrolment, "{it} enrolled"},
	"device.unenrolled":            {areaEnrolment, "{it} left management"},
	"device.retired":               {areaEnrolment, "Retired {it}"},
	"device.released":              {areaEnrolment, "Let {it} enrol anew"},
	"identity.renewed":             {areaEnrolment, "{it} renewed its identity"},
	"notice.acknowledged":          {areaEnrolment, "Acknowledged the notice for staff"},
	"device.refreshed":             {areaDevices, "Asked {it} for news"},
	"device.moved":                 {areaDevices, "Moved {it}"},
	"device.lock":                  {areaDevices, "Locked {it}"},
	"device.restart":               {areaDevices, "Restarted {it}"},
	"device.pin-viewed":            {areaDevices, "Looked at the PIN of {it}"},
	"device.recovery-code":         {areaDevices, "Made a recovery code for {it}"},
	"device.recovery-code-dropped": {areaDevices, "Took back the recovery code of {it}"},
	"command.enqueued":             {areaDevices, "Queued the raw command {request_type}"},
	"command.cancelled":            {areaDevices, "Took a command off the queue"},
	"command.withheld":             {areaDevices, "Withheld a command that nobody ordered"},
	"devices.refreshed":            {areaDevices, "Asked devices for news"},
	"device.lost":                  {areaLost, "Reported {it} lost"},
	"device.found":                 {areaLost, "Marked {it} found"},
	"device.not-erased":            {areaLost, "{it} came back without having erased itself"},
	"case.rehearsed":               {areaLost, "Rehearsed a loss"},
	"case.real":                    {areaLost, "Made a rehearsal a real loss"},
	"case.sound":                   {areaLost, "Had a lost device play a sound"},
	"case.locate":                  {areaLost, "Asked where a lost device is"},
	"case.erase-proposed":          {areaLost, "Proposed an erase"},
	"case.erase-not-proposed":      {areaLost, "Could not propose an erase"},
	"case.reminded":                {areaLost, "Reminded of a deadline"},
	"case.aware":                   {areaLost, "Set when the organisation became aware"},
	"case.decided":                 {areaLost, "Decided whether the loss is reported to the regulator"},
	"case.closed":                  {areaLost, "Closed the case"},
	"case.file-made":               {areaLost, "Made the file of a case"},
	"location.received":            {areaLost, "Learnt where a lost device is"},
	"location.dropped":             {areaLost, "Dropped a location that came too late"},
	"location.viewed":              {areaLost, "Looked at where a lost device is"},
	"location.deleted":             {areaLost, "Deleted old locations"},
	"order.requested":              {areaOrders, "Asked for an order"},
	"order.denied":                 {areaOrders, "Was denied an order"},
	"order.signed":                 {areaOrders, "Signed an order, the first of two"},
	"order.approved":               {areaOrders, "Signed an order, the second of two"},
	"order.break-glass":            {areaOrders, "Used the sealed key for an order"},
	"order.issued":                 {areaOrders, "The order was handed to the queue"},
	"order.refused":                {areaOrders, "Refused an order"},
	"order.cancelled":              {areaOrders, "Cancelled an order"},
	"orders.cancelled-all":         {areaOrders, "Cancelled all orders"},
	"order.expired":                {areaOrders, "An order expired"},
	"order.answered":               {areaOrders, "A device answered an order"},
	"approver.invited":             {areaOrders, "Invited an approver"},
	"approver.registered":          {areaOrders, "Registered as an approver"},
	"approver.vouched":             {areaOrders, "Vouched for an approver"},
	"approver.trusted":             {areaOrders, "An approver stands"},
	"approver.ended":               {areaOrders, "Ended an approver"},
	"glass.made":                   {areaOrders, "Made a sealed key"},
	"brake.held":                   {areaOrders, "The brake began to hold"},
	"brake.uncounted":              {areaOrders, "Done though the brake could not count it"},
	"brake.tampered":               {areaOrders, "Found the brake’s journal altered"},
	"brake.reset":                  {areaOrders, "Reset the brake’s journal"},
	"policy.proposed":              {areaPolicy, "Proposed a policy"},
	"policy.published":             {areaPolicy, "Published a policy"},
	"policy.approved":              {areaPolicy, "Approved a policy"},
	"policy.withdrawn":             {areaPolicy, "Withdrew a policy"},
	"policy.ring-opened":           {areaPolicy, "Opened a ring of the rollout"},
	"policy.stopped":               {areaPolicy, "Stopped a rollout"},
	"policy.resumed":               {areaPolicy, "Resumed a rollout"},
	"policy.rolled-back":           {areaPolicy, "Rolled a policy back"},
	"policy.denied":                {areaPolicy, "Was denied a change of the policy"},
	"policy.exception-ended":       {areaPolicy, "An exception ended"},
	"template.changed":             {areaPolicy, "Changed the text {it}"},
	"person.created":               {areaPeople, "Added a person"},
	"person.disabled":              {areaPeople, "Disabled a person"},
	"person.enabled":               {areaPeople, "Enabled a person"},
	"person.roles-set":             {areaPeople, "Changed a person’s roles"},
	"person.scope-set":             {areaPeople, "Changed what a person may see"},
	"person.signed-in":             {areaPeople, "Signed in"},
	"person.link-used":             {areaPeople, "Opened a one-time link"},
	"person.sign-in-failed":        {areaPeople, "Failed to sign in"},
	"person.passphrase-set":        {areaPeople, "Set a passphrase"},
	"person.link-created":          {areaPeople, "Made a one-time link"},
	"person.break-glass-set":       {areaPeople, "Changed who may sign in without the provider"},
	"person.confirmed":             {areaPeople, "Proved again who they are"},
	"person.passkey-added":         {areaPeople, "Added a passkey for signing in"},
	"person.passkey-removed":       {areaPeople, "Removed a passkey for signing in"},
	"person.recovery-codes-made":   {areaPeople, "Made recovery codes for signing in"},
	"person.roles-by-provider":     {areaPeople, "Took roles from the sign-in provider"},
	"person.second-factor-removed": {areaPeople, "Removed a second factor"},
	"person.second-factor-reset":   {areaPeople, "Reset a second factor"},
	"person.second-factor-set":     {areaPeople, "Set a second factor"},
	"directory.group-deleted":      {areaPeople, "The directory deleted a group"},
	"directory.group-set":          {areaPeople, "The directory changed a group"},
	"directory.user-left":          {areaPeople, "The directory says that somebody left"},
	"directory.user-set":           {areaPeople, "The directory changed a person"},
	"session.ended":                {areaPeople, "Ended a session"},
	"session.all-ended":            {areaPeople, "Ended all sessions of a person"},
	"token.created":                {areaPeople, "Made an API token"},
	"token.revoked":                {areaPeople, "Revoked an API token"},
	"audit.person-forgotten":       {areaPeople, "Erased what the audit log says of a person"},
	"fleet.seeded":                 {areaServer, "Filled the record with made-up devices"},
	"view.saved":                   {areaPeople, "Saved the view {it}"},
	"view.removed":                 {areaPeople, "Removed the view {it}"},
	"role.created":                 {areaPeople, "Made the role {it}"},
	"role.changed":                 {areaPeople, "Changed the role {it}"},
	"role.removed":                 {areaPeople, "Removed the role {it}"},
	"person.data-erased":           {areaPeople, "Erased what is known of a person"},
	"evidence.made":                {areaServer, "Made evidence"},
	"posture.sealed":               {areaServer, "Sealed the record of postures into the log"},
	"person.erased":                {areaPeople, "Erased what is known of a person"},
	"certificate.issued":           {areaCerts, "Issued an app certificate to {it}"},
	"certificate.revoked":          {areaCerts, "Revoked a certificate"},
	"certificate.refused":          {areaCerts, "Refused a certificate"},
	"certificate.expiring":         {areaCerts, "Warned that the certificate {name} ends"},
	"issuer.made":                  {areaCerts, "Made another issuer"},
	"revocation.listed":            {areaCerts, "Made the revocation lists"},
	"apns.requested":               {areaCerts, "Made a request for a push certificate"},
	"apns.imported":                {areaCerts, "Imported a push certificate"},
	"audit.exported":               {areaServer, "Exported the audit log"},
	"audit.verified":               {areaServer, "Asked for a verification of the audit log"},
	"backup.made":                  {areaServer, "Made a backup"},
	"export.made":                  {areaServer, "Exported {view} as {format}"},
	"notify.tested":                {areaServer, "Sent a test message"},
	"notify.sent-again":            {areaServer, "Sent a message again"},
}

// sentenceOf says what was done. Details that are not there are left out of it.
func sentenceOf(action, it string, detail map[string]string) string {
	w, ok := deedsInWords[action]
	if !ok {
		return action
	}
	with := map[string]string{}
	maps.Copy(with, detail)
	with["it"] = it
	return beginSentence(filledIn(w.says, with))
}

// filledIn puts values in the place of {name} in a text; what there is no value of is left out.
func filledIn(text string, values map[string]string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return strings.Join(strings.Fields(b.String()), " ")
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(values[name])
		text = after
	}
}
