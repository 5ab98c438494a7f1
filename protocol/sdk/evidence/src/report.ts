/** Check is one thing that was looked at. Names are those of trialmesh verify. */
export interface Check {
  name: string;
  subject: string;
  ok: boolean;
  /** skipped says why the check was not made: it is not a pass. */
  skipped?: string;
  detail?: string;
}

/** Report is what was found. */
export class Report {
  readonly checks: Check[] = [];

  get failed(): Check[] {
    return this.checks.filter((check) => !check.ok && check.skipped === undefined);
  }

  skip(name: string, subject: string, why: string): void {
    this.checks.push({ name, subject, ok: false, skipped: why });
  }

  /** check records whether a rule holds: it returns what was found in words, or throws what is wrong. */
  async check(name: string, subject: string, rule: () => string | Promise<string>): Promise<boolean> {
    try {
      this.checks.push({ name, subject, ok: true, detail: await rule() });
      return true;
    } catch (error) {
      this.checks.push({ name, subject, ok: false, detail: error instanceof Error ? error.message : String(error) });
      return false;
    }
  }
}

/** must throws what is wrong unless a rule holds. */
export function must(holds: boolean, wrong: string): asserts holds {
  if (!holds) throw new Error(wrong);
}
