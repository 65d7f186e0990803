//! Words that name what stands beside them, in the languages of our users.
//!
//! Languages: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish,
//! Russian, Turkish, Chinese, Japanese, Korean, Hindi, Arabic; a few words of Danish,
//! Norwegian, Finnish and Czech. A list is one string, words separated by `|`, in lower case.
//! Inflected languages list the stem. A word may stand under several topics.

/// What a word near a value says about the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Card,
    Iban,
    Bank,
    Routing,
    Crypto,
    Ip,
    Mac,
    Passport,
    Licence,
    Dea,
    Ssn,
    Itin,
    Npi,
    Mbi,
    Nhs,
    Nino,
    DeTax,
    DeSocial,
    Nir,
    EsNif,
    EsNie,
    FiscalCode,
    Bsn,
    PtNif,
    Pesel,
    Personnummer,
    Hetu,
    BeNrn,
    Ahv,
    TrId,
    Cpf,
    Cnpj,
    Sin,
    Aadhaar,
    Pan,
    Tfn,
    Medicare,
    Nric,
    CnId,
    MyNumber,
    Rrn,
    /// "National id", "tax number" and the like, without saying which.
    NationalId,
    Phone,
    Email,
    Birth,
    Address,
    Password,
    Token,
    /// Orders, invoices, articles, versions: the number is none of ours.
    Thing,
    /// Amounts, sizes and durations.
    Amount,
}

impl Topic {
    pub(super) fn bit(self) -> u64 {
        1 << (self as u64)
    }
}

/// Topic and its words.
pub(super) const WORDS: &[(Topic, &str)] = &[
    (
        Topic::Card,
        "credit card|debit card|card number|card no|card nr|cardnumber|card|cards|cc number|ccnum|cc|visa|mastercard|amex|american express|maestro|discover card|jcb|diners|unionpay|pan number|primary account number|kreditkarte|kreditkartennummer|kartennummer|karte|carte bancaire|carte bleue|carte de crédit|numéro de carte|carte|tarjeta de crédito|tarjeta de credito|tarjeta|número de tarjeta|carta di credito|carta|numero di carta|cartão de crédito|cartão|cartao|creditcard|creditcardnummer|kaartnummer|karta kredytowa|karty|karta|kortnummer|kreditkort|номер карты|карта|карты|карту|карте|картой|kredi kartı|kart numarası|kart|信用卡|银行卡|卡号|クレジットカード|カード番号|カード|신용카드|카드번호|카드|क्रेडिट कार्ड|कार्ड|بطاقة|البطاقة|بطاقة الائتمان",
    ),
    (
        Topic::Iban,
        "iban|konto|kontonummer|bankverbindung|compte bancaire|rib|cuenta bancaria|conto corrente|conta bancária|rekeningnummer|numer konta|bankkonto|счет|счёт",
    ),
    (
        Topic::Bank,
        "account number|account no|account nr|acct number|acct no|acct|account #|account|bank account|bank acct|checking account|checking|savings account|savings|checking acct|bank number|deposit account|direct deposit|acc no|accountnumber|bank_account|account_number|acct_num|accountno|wire to|beneficiary account",
    ),
    (
        Topic::Routing,
        "routing number|routing no|routing|aba number|aba routing|aba|rtn|routing_number|transit number",
    ),
    (
        Topic::Crypto,
        "bitcoin|btc|ethereum|eth|wallet|crypto|litecoin|ltc|dogecoin|solana|monero|usdt|tron|кошелек|кошелёк|钱包|ウォレット|지갑|cüzdan|portefeuille|cartera|portafoglio|carteira",
    ),
    (
        Topic::Ip,
        "ip address|ip addresses|ip|ipv4|ipv6|ip-adresse|adresse ip|dirección ip|indirizzo ip|endereço ip|ip-adres|adres ip|ip-adress|айпи|ip地址|ipアドレス|client_ip|remote_addr|source ip|host|client|peer|remote|from",
    ),
    (Topic::Mac, "mac address|mac|hwaddr|ether|bssid"),
    (
        Topic::Passport,
        "passport number|passport no|passport|passports|passport #|passport_no|reisepass|reisepassnummer|pass-nr|passnummer|reisepass-nr|passeport|numéro de passeport|pasaporte|nº de pasaporte|passaporto|passaporte|paspoort|paspoortnummer|paszport|paszportu|nr paszportu|passnr|pass nr|паспорт|загранпаспорт|pasaport|pasaport no|护照|护照号|護照|パスポート|旅券番号|旅券|여권|여권번호|पासपोर्ट|جواز السفر|جواز سفر|جواز",
    ),
    (
        Topic::Licence,
        "license|licence|lic|lic.|driver's license|drivers license|driver license|driver’s license|driving licence|driving license|driver's licence|drivers licence|driver licence|license number|licence number|license no|licence no|license #|dl number|dl no|dl#|dl|dln|driver_license|drivers_license|driving_licence|führerschein|führerscheinnummer|fuehrerschein|fahrerlaubnis|permis de conduire|numéro de permis|permis|carné de conducir|permiso de conducir|licencia de conducir|carnet de conducir|patente di guida|patente|carta de condução|carteira de motorista|cnh|habilitação|rijbewijs|rijbewijsnummer|prawo jazdy|prawa jazdy|körkort|körkortsnummer|водительск|водительское удостоверение|водительские права|ehliyet|sürücü belgesi|驾照|驾驶证|駕照|免許証|運転免許|免許証番号|운전면허|면허번호|면허증|ड्राइविंग लाइसेंस|लाइसेंस|رخصة القيادة|رخصة قيادة",
    ),
    (
        Topic::Dea,
        "dea|dea number|dea no|dea registration|prescriber|medical license|dea_number",
    ),
    (
        Topic::Ssn,
        "ssn|ssns|social security number|social security no|social security|social-security|social sec|soc sec|social|ssn#|ss#|ss no|ssn_last|socialsecurity|taxpayer id|seguro social",
    ),
    (
        Topic::Itin,
        "itin|individual taxpayer|taxpayer identification|taxpayer id|tax id|tin",
    ),
    (
        Topic::Npi,
        "npi|national provider|provider identifier|npi number",
    ),
    (
        Topic::Mbi,
        "mbi|medicare beneficiary|medicare number|medicare id|beneficiary",
    ),
    (
        Topic::Nhs,
        "nhs|nhs number|nhs no|national health service|nhs_number|health number|nhs-nummer|numéro nhs",
    ),
    (
        Topic::Nino,
        "national insurance|nino|ni number|ni no|national insurance number|ni_number|insurance number",
    ),
    (
        Topic::DeTax,
        "steuer-id|steuer-identifikationsnummer|steueridentifikationsnummer|steuerid|steuer id|steuernummer|idnr|id-nr|steuer-idnr|identifikationsnummer|steuer-identnummer|steuerliche identifikationsnummer|german tax id|tax id|tin|tax_id|steuer",
    ),
    (
        Topic::DeSocial,
        "sozialversicherungsnummer|sozialversicherung|rentenversicherungsnummer|sv-nummer|sv-nr|rvnr|versicherungsnummer|rentenversicherung|sozialvers|svnr|sv nummer",
    ),
    (
        Topic::Nir,
        "sécurité sociale|securite sociale|numéro de sécu|numéro de sécurité sociale|n° de sécurité sociale|nir|numéro insee|insee|sécu|n° sécu|carte vitale|immatriculation",
    ),
    (
        Topic::EsNif,
        "dni|nif|documento nacional|d.n.i.|n.i.f.|identidad",
    ),
    (Topic::EsNie, "nie|n.i.e.|número de extranjero|extranjero"),
    (
        Topic::FiscalCode,
        "codice fiscale|cod. fiscale|cod. fisc.|c.f.|cf|codicefiscale|fiscal code|cod fiscale",
    ),
    (
        Topic::Bsn,
        "bsn|burgerservicenummer|burger service nummer|sofinummer|sofi-nummer|sofi|burgerservice|bsn-nummer|bsnnummer|dutch bsn|citizen service number",
    ),
    (
        Topic::PtNif,
        "nif|contribuinte|número de contribuinte|nº de contribuinte|número fiscal|numero fiscal|n.º contribuinte|nipc|finanças|identificação fiscal",
    ),
    (Topic::Pesel, "pesel|numer pesel|nr pesel|peselu"),
    (
        Topic::Personnummer,
        "personnummer|personnr|pnr|person nr|samordningsnummer|personnumret|swedish id|personal identity number|social security|personal number",
    ),
    (
        Topic::Hetu,
        "henkilötunnus|hetu|sotu|henkilötunnuksen|personbeteckning",
    ),
    (
        Topic::BeNrn,
        "rijksregisternummer|rijksregister|registre national|numéro national|insz|niss|nationaal nummer|rrn",
    ),
    (
        Topic::Ahv,
        "ahv|ahv-nummer|ahvn13|avs|avs-nummer|numéro avs|n° avs|numero avs|ahv-nr|navs13",
    ),
    (
        Topic::TrId,
        "t.c. kimlik|tc kimlik|tckn|kimlik no|kimlik numarası|tc no|t.c. no|kimlik",
    ),
    (
        Topic::Cpf,
        "cpf|cadastro de pessoa|cadastro de pessoas físicas|c.p.f.",
    ),
    (Topic::Cnpj, "cnpj|cadastro nacional da pessoa jurídica"),
    (
        Topic::Sin,
        "sin|social insurance number|social insurance|numéro d'assurance sociale|assurance sociale|nas|s.i.n.",
    ),
    (
        Topic::Aadhaar,
        "aadhaar|aadhar|uidai|adhaar|aadhaar number|आधार|आधार संख्या|आधार नंबर|आधार कार्ड",
    ),
    (
        Topic::Pan,
        "pan|pan card|pan number|pan no|permanent account number|income tax|पैन|पैन कार्ड|पैन नंबर",
    ),
    (
        Topic::Tfn,
        "tfn|tax file number|tax file no|tax file|tax_file_number",
    ),
    (
        Topic::Medicare,
        "medicare|medicare card|medicare number|medicare no|medicare card number",
    ),
    (
        Topic::Nric,
        "nric|fin|nric/fin|fin number|identity card|singpass|身份证",
    ),
    (
        Topic::CnId,
        "身份证|身份证号|身份证号码|身分證|公民身份|居民身份证|证件号|id card|identity card|shenfenzheng|chinese id|resident id|证件号码",
    ),
    (
        Topic::MyNumber,
        "マイナンバー|個人番号|my number|mynumber|マイナンバーは|individual number",
    ),
    (
        Topic::Rrn,
        "주민등록번호|주민번호|주민등록|rrn|resident registration|외국인등록번호|resident number",
    ),
    (
        Topic::NationalId,
        "national id|national identity|identity number|identification number|id number|id no|tax number|tax id|taxpayer|personal id|personal identification|government id|citizen id|fiscal number|national_id|tax_id|steuernummer|numéro fiscal|documento de identidad|documento|identificación|numero identificativo|documento de identidade|identificatienummer|numer identyfikacyjny|идентификационный|инн|снилс|vergi numarası|税号|納税者番号|납세자번호|पहचान|رقم الهوية|الهوية|ausweis|id-nummer",
    ),
    (
        Topic::Phone,
        "phone|phones|office|desk|answering|answer|telephone|tel|tel.|phone number|phone no|mobile|mobile number|cell|cellphone|cell phone|call|calls|called|calling|call me|ring|ring me|dial|text me|text|sms|fax|hotline|contact|contact number|reach|reached|reach me|whatsapp|telegram|signal|voicemail|landline|extension|msisdn|phone_number|telefon|telefonnummer|handy|handynummer|mobilnummer|rufnummer|mobil|anruf|anrufen|rufen|rückruf|erreichbar|erreichen|durchwahl|tel.-nr|festnetz|téléphone|portable|appeler|appelez|appelle|appelez-moi|joindre|joignable|numéro de téléphone|fixe|mon numéro|rappeler|rappelez|teléfono|telefono|móvil|movil|celular|llamar|llame|llámame|llámeme|llama|llamad|contactar|cellulare|chiamami|chiamare|chiama|chiamate|recapito|chiamatemi|cell.|telefone|telemóvel|telemovel|ligue|ligar|liga|contato|contacto|telefoonnummer|telefoon|mobiel|mobiele|bellen|bel|bereikbaar|belt|gsm|telefonu|numer telefonu|komórka|komórki|komórkowy|zadzwoń|dzwonić|tel. kom|kontakt|mobilnr|telefonnr|ring mig|ringa|mobilen|телефон|тел|тел.|мобильн|позвон|звонить|звоните|номер телефона|сотовый|вотсап|телефону|связаться|cep telefonu|telefon numarası|arayın|ara|arayabilirsiniz|电话|手机|手机号|手机号码|联系电话|联系方式|致电|拨打|電話|座机|微信|電話番号|携帯|携帯電話|連絡先|お電話|전화|전화번호|휴대폰|핸드폰|연락처|연락|휴대전화|फ़ोन|फोन|मोबाइल|संपर्क|कॉल|هاتف|الهاتف|جوال|الجوال|موبايل|رقم الهاتف|اتصل|للتواصل|puhelin|puh|telefonní",
    ),
    (
        Topic::Email,
        "email|e-mail|mail|courriel|correo|почта|邮箱|メール|이메일|ईमेल|البريد",
    ),
    (
        Topic::Birth,
        "date of birth|birth date|birthdate|birthday|dob|d.o.b.|d.o.b|born|born on|birth|date_of_birth|birth_date|bday|geburtsdatum|geboren|geboren am|geb.|geb. am|geb|geburtstag|date de naissance|né le|née le|né(e) le|naissance|née|né|anniversaire|nacida|nacido|fecha de nacimiento|nacimiento|nació|f. nac.|fec. nac|cumpleaños|data di nascita|nato il|nata il|nato a|nata a|nato|nata|nascita|compleanno|data de nascimento|nascido em|nascida em|nascido|nascida|nascimento|nasceu|aniversário|geboortedatum|geboren op|geboorte|verjaardag|data urodzenia|urodzony|urodzona|ur.|urodzenia|urodziny|urodził|född|född den|födelsedatum|födelsedag|fødselsdato|født|дата рождения|рожден|родился|родилась|рождения|д.р.|г.р.|день рождения|doğum tarihi|doğum günü|doğumlu|doğum|出生日期|出生于|出生|生日|生于|生年月日|誕生日|生まれ|생년월일|생일|출생|태어|जन्म तिथि|जन्मतिथि|जन्म|जन्मदिन|तारीख|تاريخ الميلاد|تاريخ ميلاد|الميلاد|مواليد|ولد|ولدت|syntymäaika|syntynyt|narozen|datum narození",
    ),
    (
        Topic::Address,
        "address|addresses|home address|street address|mailing address|postal address|shipping address|billing address|delivery address|ship to|deliver to|deliver it to|lives at|live at|living at|residing at|resides at|residence|located at|moved to|street|adresse|anschrift|wohnhaft|wohnt|wohne|wohnen|wohnort|lieferadresse|rechnungsadresse|postanschrift|habite|habitant|domicile|domicilié|demeurant|adresse postale|livraison|réside|dirección|direccion|domicilio|vive en|vivo en|reside en|residente|envíe a|indirizzo|residente in|abita|abito|residenza|vive in|via|endereço|endereco|morada|mora na|moro na|mora no|reside na|residente na|adres|woonadres|woont|woon|wonend|bezorgadres|zamieszkał|adres zamieszkania|mieszka|mieszkam|adress|bor på|bostad|bostadsadress|адрес|проживает|проживающ|живет|живёт|живу|проживаю|зарегистрирован|adresi|adresim|ikamet|oturuyor|地址|住址|住在|居住|家住|寄到|送到|収件|住所|お届け先|現住所|在住|주소|거주|배송지|पता|रहते|रहता|रहती|निवास|العنوان|عنوان|يسكن|يقيم|osoite",
    ),
    (
        Topic::Password,
        "password|passwd|pwd|passphrase|passcode|pass|pw|kennwort|passwort|mot de passe|mdp|contraseña|contrasena|clave|parola|senha|palavra-passe|wachtwoord|hasło|haslo|lösenord|пароль|пароля|şifre|parola d'ordine|密码|口令|パスワード|비밀번호|암호|पासवर्ड|كلمة المرور|كلمة السر|salasana|adgangskode|heslo|db_password|db_pass|pin code",
    ),
    (
        Topic::Token,
        "secret|secret key|secret_key|secretkey|client_secret|client secret|clientsecret|api key|api_key|apikey|api-key|api keys|x-api-key|access key|access_key|access token|access_token|accesstoken|auth token|auth_token|authtoken|refresh_token|refresh token|bearer token|token|private key|private_key|privatekey|signing key|signing_key|encryption key|encryption_key|secret access key|secret_access_key|aws_secret_access_key|session token|session_token|webhook secret|webhook_secret|account_key|accountkey|sharedaccesskey|shared secret|jwt_secret|jwt secret|app_secret|consumer_secret|master key|master_key|credential|credentials|connection string|connectionstring|geheimnis|zugangsschlüssel|api-schlüssel|schlüssel|clé api|clé secrète|clé d'api|jeton|clave api|clave secreta|chiave api|chiave segreta|chave api|chave de api|chave secreta|api-sleutel|klucz api|tajny klucz|api-nyckel|ключ api|секретный ключ|токен|ключ доступа|api anahtarı|gizli anahtar|密钥|令牌|秘钥|apiキー|トークン|秘密鍵|シークレット|api 키|토큰|비밀키|시크릿|टोकन|कुंजी|مفتاح|رمز الوصول",
    ),
    (
        Topic::Thing,
        "order|order number|order no|order id|order #|invoice|invoice number|invoice no|invoice #|ticket|ticket number|case number|case no|case|issue|tracking|tracking number|tracking no|shipment|parcel|isbn|isbn-13|isbn-10|issn|ean|upc|gtin|sku|part number|part no|model|model number|serial number|serial no|serial|s/n|version|ver|release|build|build number|commit|sha|sha1|sha256|hash|checksum|digest|uuid|guid|trace id|trace_id|request id|request_id|request-id|span_id|session id|pid|thread|timestamp|ts|epoch|unix time|revision|rev|batch|lot|lot number|product|product code|item|item number|article|article no|article number|reference|ref|ref.|reference number|ref no|confirmation|confirmation number|booking|reservation|transaction id|transaction|txn|po number|purchase order|chapter|section|page|pages|room|flight|port|line|lines|row|error code|error|code|status|imei|firmware|chip|driver version|kernel|rfc|doi|arxiv|pmid|patent|bestellnummer|bestellung|auftragsnummer|auftrag|rechnungsnummer|rechnung|rechnungs-nr|artikelnummer|artikel|seriennummer|sendungsnummer|vorgang|aktenzeichen|commande|numéro de commande|facture|référence|numéro de suivi|colis|pedido|número de pedido|factura|referencia|ordine|numero d'ordine|fattura|riferimento|encomenda|fatura|bestelnummer|bestelling|factuur|factuurnummer|zamówienie|zamówienia|faktura|faktury|beställning|ordernummer|fakturanummer|заказ|заказа|счет-фактура|артикул|накладн|sipariş|sipariş no|订单|订单号|发票|快递单号|单号|型号|版本|注文|注文番号|請求書|型番|バージョン|주문|주문번호|송장|모델|버전|ऑर्डर|आदेश|चालान|طلب|رقم الطلب|فاتورة",
    ),
    (
        Topic::Amount,
        "price|total|amount|sum|cost|usd|eur|gbp|dollars|euros|bytes|kb|mb|gb|ms|seconds|population|preis|betrag|summe|prix|montant|precio|importe|prezzo|importo|preço|valor|bedrag|prijs|cena|kwota|pris|belopp|цена|сумма|руб|fiyat|tutar|价格|金额|人民币|価格|金額|가격|금액|원|कीमत|राशि|السعر|المبلغ",
    ),
];
