import { expect, it } from "vitest";
import { channelName, hasWords, language, t } from "./words";

it("calls a channel by its name where it is a common one, else by the id that the city gave it", () => {
  expect(["sms", "mail", "email", "dingtalk", "wecom", "feishu", "ntfy", "webhook", "voice", "in_app"].filter((id) => channelName(id) === id)).toEqual([]);
  expect(["sms", "mail", "dingtalk"].map(channelName)).toEqual(["短信", "邮件", "钉钉"]);
  expect(channelName("duty-phone")).toBe("duty-phone");
});

it("says of an answer that came after the end that it was noted, and of one that is not as it must be what to do", () => {
  expect(t("outcome_too_late")).toBe("已记录：预警已结束。");
  language.value = "en";
  expect(t("outcome_too_late")).toBe("Noted: it was over already.");
  language.value = "zh";
  expect(hasWords("refusal_bad_request") && hasWords("problem_bad_request")).toBe(true);
});
