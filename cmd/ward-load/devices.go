package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/smallstep/pkcs7"
	"github.com/wardmdm/ward/agent"
	"golang.org/x/sync/errgroup"
)

// keys is how many RSA-2048 keys the devices share: making one for each would take
// longer than the measurement, and checking a signature costs the same. Certificates
// are each device's own.
const keys = 32

// message is a body with its Mdm-Signature.
type message struct {
	body      []byte
	signature string
}

// cycle is one command from its queueing to its answer, made and signed ahead.
type cycle struct {
	uuid    string
	command []byte
	answer  message
}

// device is one that the server adopts.
type device struct {
	udid   string
	cert   *x509.Certificate
	key    *rsa.PrivateKey
	idle   message
	cycles []cycle
}

// makers are an authority of the devices' own and the keys they share.
type makers struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
	pool []*rsa.PrivateKey
}

func newMakers(ctx context.Context) (*makers, error) {
	m := &makers{pool: make([]*rsa.PrivateKey, keys)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range m.pool {
		g.Go(func() (err error) {
			m.pool[i], err = agent.NewKey(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	m.key = m.pool[0]
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Load authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, m.key.Public(), m.key)
	if err != nil {
		return nil, err
	}
	m.cert, err = x509.ParseCertificate(der)
	return m, err
}

func (m *makers) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw})
}

// fleet makes n devices with their certificates and messages. The same number gives a
// device the same UDID.
func (m *makers) fleet(ctx context.Context, n, cycles int) ([]*device, error) {
	all := make([]*device, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range all {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			d := &device{udid: fmt.Sprintf("00008110-%016X", 0x10A0+i), key: m.pool[i%len(m.pool)]}
			all[i] = d
			if err := d.certify(m, int64(i+2)); err != nil {
				return err
			}
			var err error
			if d.idle, err = d.sign(said("Idle", d.udid, "", "")); err != nil {
				return err
			}
			return d.prepare(cycles)
		})
	}
	return all, g.Wait()
}

func (d *device) certify(m *makers, serial int64) error {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: d.udid}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, m.cert, d.key.Public(), m.key)
	if err != nil {
		return err
	}
	d.cert, err = x509.ParseCertificate(der)
	return err
}

// prepare gives a device fresh cycles.
func (d *device) prepare(n int) (err error) {
	d.cycles = make([]cycle, n)
	for i := range d.cycles {
		id := strings.ToUpper(uuid.NewString())
		d.cycles[i] = cycle{uuid: id, command: []byte(strings.ReplaceAll(informationCommand, "{{uuid}}", id))}
		if d.cycles[i].answer, err = d.sign(said("Acknowledged", d.udid, id, informationAnswer)); err != nil {
			return err
		}
	}
	return nil
}

// sign signs a message as a device does.
// Source: https://developer.apple.com/documentation/devicemanagement/implementing-device-management
func (d *device) sign(body string) (message, error) {
	s, err := pkcs7.NewSignedData([]byte(body))
	if err != nil {
		return message{}, err
	}
	s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := s.AddSigner(d.cert, crypto.PrivateKey(d.key), pkcs7.SignerInfoConfig{}); err != nil {
		return message{}, err
	}
	s.Detach()
	der, err := s.Finish()
	return message{[]byte(body), base64.StdEncoding.EncodeToString(der)}, err
}

const plistHead = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
`

const plistFoot = "</dict>\n</plist>\n"

func text(key, value string) string {
	return "\t<key>" + key + "</key>\n\t<string>" + value + "</string>\n"
}

// said is what a device tells about a command; more stands beside the fixed fields.
func said(status, udid, command, more string) string {
	s := plistHead + text("Status", status) + text("UDID", udid)
	if command != "" {
		s += text("CommandUUID", command)
	}
	return s + more + plistFoot
}

// checkin is a message of enrolment.
func checkin(kind, udid, more string) string {
	return plistHead + text("MessageType", kind) + text("UDID", udid) + text("Topic", "com.apple.mgmt.External.load") + more + plistFoot
}

// informationCommand asks what a server asks of a phone most days.
const informationCommand = plistHead + `	<key>Command</key>
	<dict>
		<key>RequestType</key>
		<string>DeviceInformation</string>
		<key>Queries</key>
		<array>
			<string>DeviceName</string>
			<string>OSVersion</string>
			<string>ProductName</string>
			<string>SerialNumber</string>
			<string>BatteryLevel</string>
		</array>
	</dict>
	<key>CommandUUID</key>
	<string>{{uuid}}</string>
` + plistFoot

// informationAnswer makes an answer of 2.4 KB, as long as a phone's.
const informationAnswer = `	<key>QueryResponses</key>
	<dict>
		<key>AvailableDeviceCapacity</key><real>96.51</real>
		<key>AwaitingConfiguration</key><false/>
		<key>BatteryLevel</key><real>0.81</real>
		<key>BluetoothMAC</key><string>02:00:00:00:00:02</string>
		<key>BuildVersion</key><string>22G86</string>
		<key>CellularTechnology</key><integer>1</integer>
		<key>DeviceCapacity</key><real>128</real>
		<key>DeviceID</key><string>02:00:00:00:00:02</string>
		<key>DeviceName</key><string>Ward 7 phone</string>
		<key>DiagnosticSubmissionEnabled</key><false/>
		<key>EASDeviceIdentifier</key><string>EASLOAD000001LOAD000001LOAD0</string>
		<key>IsActivationLockEnabled</key><false/>
		<key>IsCloudBackupEnabled</key><false/>
		<key>IsDeviceLocatorServiceEnabled</key><false/>
		<key>IsDoNotDisturbInEffect</key><false/>
		<key>IsMDMLostModeEnabled</key><false/>
		<key>IsNetworkTethered</key><false/>
		<key>IsRoaming</key><false/>
		<key>IsSupervised</key><true/>
		<key>ModemFirmwareVersion</key><string>2.80.01</string>
		<key>Model</key><string>MTP03B/A</string>
		<key>ModelName</key><string>iPhone</string>
		<key>ModelNumber</key><string>MTP03B/A</string>
		<key>OSVersion</key><string>18.6</string>
		<key>ProductName</key><string>iPhone15,4</string>
		<key>SerialNumber</key><string>LOAD00000001</string>
		<key>SupplementalBuildVersion</key><string>22G86</string>
		<key>TimeZone</key><string>Europe/London</string>
		<key>WiFiMAC</key><string>02:00:00:00:00:01</string>
		<key>ServiceSubscriptions</key>
		<array>
			<dict>
				<key>CarrierSettingsVersion</key><string>63.0.1</string>
				<key>CurrentCarrierNetwork</key><string>Example Mobile</string>
				<key>CurrentMCC</key><string>234</string>
				<key>CurrentMNC</key><string>99</string>
				<key>ICCID</key><string>8944 0000 0000 0000 0000</string>
				<key>IMEI</key><string>00 000000 000000 0</string>
				<key>IsDataPreferred</key><true/>
				<key>IsRoaming</key><false/>
				<key>IsVoicePreferred</key><true/>
				<key>Label</key><string>Primary</string>
				<key>PhoneNumber</key><string></string>
				<key>Slot</key><string>CTSubscriptionSlotOne</string>
			</dict>
		</array>
	</dict>
`

// firstAnswers are what a device tells when the server asks about it after it enrolled,
// by the command.
func firstAnswers(requestType string) string {
	switch requestType {
	case "DeviceInformation":
		return informationAnswer
	case "SecurityInfo":
		return `	<key>SecurityInfo</key><dict><key>HardwareEncryptionCaps</key><integer>3</integer><key>PasscodePresent</key><true/><key>PasscodeCompliant</key><true/><key>PasscodeCompliantWithProfiles</key><true/></dict>
`
	case "ManagedApplicationList":
		return "	<key>ManagedApplicationList</key><dict></dict>\n"
	default: // InstalledApplicationList, ProfileList, CertificateList
		return "	<key>" + requestType + "</key><array></array>\n"
	}
}
