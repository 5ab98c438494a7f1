package hl7v2

import (
	"slices"
	"strconv"
	"strings"
)

// segmentNames are the segments of HL7 v2.8.2 appendix A, and those that earlier
// versions had. Others are the site's own.
var segmentNames = slices.Sorted(strings.FieldsSeq(`ABS ACC ADD ADJ AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BHS BLC BLG BPO BPX BTS BTX BUI
CDM CDO CER CM0 CM1 CM2 CNS CON CSP CSR CSS CTD CTI DB1 DEV DG1 DMI DON DPS DRG DSC DSP DST ECD ECR EDU EQP EQU ERR EVN
FAC FHS FT1 FTS GOL GP1 GP2 GT1 IAM IAR IIM ILT IN1 IN2 IN3 INV IPC IPR ISD ITM IVC IVT LAN LCC LCH LDP LOC LRL MCP
MFA MFE MFI MRG MSA MSH NCK NDS NK1 NPU NSC NST NTE OBR OBX ODS ODT OH1 OH2 OH3 OH4 OM1 OM2 OM3 OM4 OM5 OM6 OM7 OMC ORC ORG OVR PAC PCE
PCR PD1 PDA PDC PEO PES PID PKG PM1 PMT PR1 PRA PRB PRC PRD PRT PSG PSH PSL PSS PTH PV1 PV2 PYE QAK QID QPD QRD QRF QRI RCP RDF RDT
REL RF1 RFI RGS RMI ROL RQ1 RQD RXA RXC RXD RXE RXG RXO RXR RXV SAC SCD SCH SCP SDD SFT SGH SGT SHP SID SLT SPM STF STZ TCC TCD TQ1
TQ2 TXA UAC UB1 UB2 URD URS VAR VND`))

// standard reports whether name is a segment of the standard.
func standard(name string) bool {
	_, ok := slices.BinarySearch(segmentNames, name)
	return ok
}

// placeOf names a segment in a message. A name that the standard does not have might
// be data, and shows as a star.
func placeOf(name string, number int) string {
	if !standard(name) {
		name = "*"
	}
	return name + "[" + strconv.Itoa(number) + "]"
}

// messagePlace is the path of message n, from 1, or of something inside it.
func messagePlace(n int, inside string) string {
	p := "message[" + strconv.Itoa(n) + "]"
	if inside == "" {
		return p
	}
	return p + "." + inside
}
